// The sample rate that a compressed file states, so that the browser decodes it at that rate and resamples nothing.

const DEFAULT = 48_000; // Hz; where the rate isn't easily found, and for Opus
const MPEG_RATES = { 3: [44_100, 48_000, 32_000], 2: [22_050, 24_000, 16_000], 0: [11_025, 12_000, 8_000] };

/** Hz, of an ArrayBuffer that holds FLAC, Ogg or MP3; else a rate that most recordings have. */
export function statedRate(bytes) {
  const view = new Uint8Array(bytes, 0, Math.min(bytes.byteLength, 1 << 18));
  if (isText(view, 0, "fLaC")) return flacRate(view, 4);
  if (isText(view, 0, "OggS")) return oggRate(view);
  return mpegRate(view) ?? DEFAULT;
}

/** The first block of FLAC is STREAMINFO; its rate has 20 bits. */
function flacRate(view, block) {
  return (view[block + 14] << 12) | (view[block + 15] << 4) | (view[block + 16] >> 4) || DEFAULT;
}

function oggRate(view) {
  const packet = 27 + view[26]; // behind the page's header and its table of segments
  if (isText(view, packet + 1, "vorbis") && packet + 16 <= view.length) {
    return new DataView(view.buffer).getUint32(packet + 12, true);
  }
  if (isText(view, packet + 1, "FLAC")) return flacRate(view, packet + 13);
  return DEFAULT;
}

function mpegRate(view) {
  let place = 0;
  if (isText(view, 0, "ID3")) {
    place = 10 + ((view[6] << 21) | (view[7] << 14) | (view[8] << 7) | view[9]); // its length has seven bits a byte
  }
  const [first, second, third] = view.subarray(place, place + 3);
  const isFrame = first === 0xff && second >> 5 === 7 && (second & 6) !== 0; // layer 0 is AAC
  return isFrame ? MPEG_RATES[(second >> 3) & 3]?.[(third >> 2) & 3] : undefined;
}

function isText(view, place, text) {
  return [...text].every((letter, i) => view[place + i] === letter.charCodeAt(0));
}
