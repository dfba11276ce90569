// A file to samples, at the file's own rate: WAV is read here, everything else by the browser.

import { statedRate } from "./sample_rates.js";
import { isWav, readWav } from "./wav.js";

const MAX_BYTES = 1 << 28; // of a file; samples take up to ten times as much memory as compressed ones

/** {rate, channels} of a File; throws an Error with a message for people. */
export async function decode(file) {
  if (!file.size) throw new Error(`${file.name}: empty; choose another file`);
  if (file.size > MAX_BYTES) {
    throw new Error(`${file.name}: over ${MAX_BYTES >> 20} MiB, too large for a page; use the command ser-edge`);
  }
  const bytes = await file.arrayBuffer();
  const sound = (isWav(bytes) && readWav(bytes)) || (await decodedByBrowser(bytes, file.name));
  if (!sound.channels.length || !sound.channels[0].length) throw new Error(`${file.name}: no samples in it`);
  return sound;
}

async function decodedByBrowser(bytes, name) {
  const rate = Math.min(192_000, Math.max(8_000, statedRate(bytes)));
  const context = new OfflineAudioContext(1, 1, rate);
  try {
    const buffer = await context.decodeAudioData(bytes);
    const channels = Array.from({ length: buffer.numberOfChannels }, (_, i) => buffer.getChannelData(i));
    return { rate: buffer.sampleRate, channels };
  } catch {
    throw new Error(`${name}: not a sound that this browser can decode; try WAV, FLAC, MP3 or Ogg`);
  }
}
