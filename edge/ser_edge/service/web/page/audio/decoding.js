// A file to samples, at the file's own rate: WAV is read here, everything else by the browser.

import { rounded } from "../engine/recognition/prediction.js";
import { statedRate } from "./sample_rates.js";
import { isWav, readWav } from "./wav.js";

const MAX_BYTES = 1 << 28; // of a file; samples take up to ten times as much memory as compressed ones
const TOLERATED = 0.01; // ratio of a sound that may be missing without a warning

/** {rate, channels, warnings} of a File; throws an Error with a message for people. */
export async function decode(file) {
  const error = (problem) => new Error(`${file.name}: ${problem}`);
  if (!file.size) throw error("empty; choose another file");
  if (file.size > MAX_BYTES) {
    throw error(`over ${MAX_BYTES >> 20} MiB, too large for a page; use the command ser-edge`);
  }
  const bytes = await file.arrayBuffer();
  const isWavFile = isWav(bytes);
  let sound = null;
  try {
    sound = isWavFile ? readWav(bytes) : null;
  } catch ({ message }) {
    throw error(message);
  }
  sound ??= await decodedByBrowser(bytes); // which takes the bytes away
  if (!sound && isWavFile) throw error("a WAV encoding that this browser can't decode; write it as 16-bit WAV");
  if (!sound) throw error("not a sound that this browser can decode; try WAV, FLAC, MP3 or Ogg");
  if (!sound.channels[0]?.length) throw error("empty, no samples in it");
  const { rate, channels, missing } = sound;
  return { rate, channels, warnings: warnings(file.name, channels[0].length / rate, missing) };
}

/** What the command says of a sound of which seconds are missing. */
function warnings(name, seconds, missing) {
  const whole = seconds + missing;
  if (missing < TOLERATED * whole) return [];
  const [part, all] = [seconds, whole].map((value) => rounded(value, 2).toFixed(2));
  return [`${name}: truncated or damaged: ${part} s of ${all} s could be decoded; copy it again`];
}

/** {rate, channels, missing}; null where it can't. Browsers don't say what they left out, so `missing` is 0. */
async function decodedByBrowser(bytes) {
  const rate = Math.min(192_000, Math.max(8_000, statedRate(bytes)));
  const context = new OfflineAudioContext(1, 1, rate);
  try {
    const buffer = await context.decodeAudioData(bytes);
    const channels = Array.from({ length: buffer.numberOfChannels }, (_, i) => buffer.getChannelData(i));
    return { rate: buffer.sampleRate, channels, missing: 0 };
  } catch {
    return null;
  }
}
