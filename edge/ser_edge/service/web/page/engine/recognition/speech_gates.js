// Where there is speech: the gate of streams and the one of whole recordings, as in
// ser_edge.recognition.voice_activity, on top of Silero's detector. The comments there say why.

import { energy } from "../../audio/downmix.js";
import { joined, resample } from "../../audio/resampler.js";
import { rounded } from "./prediction.js";

export const MIN_SECONDS = 0.1; // anything shorter holds no emotion
const RATE = 16_000; // Hz
const CHUNK = 512; // samples, 32 ms
const ONSET = 0.5;
const OFFSET = 0.35; // probability at which speech begins, and below which it ends
const ENERGY_FLOOR = 1e-4; // RMS, -80 dBFS
const LEVEL = 0.1; // RMS that sounds are scaled to for the detector: -20 dBFS
const DECAY = 0.99; // of the followed level, per chunk
const RESET_CHUNKS = 32; // of silence, after which the detector starts anew
const SPEEDS = [1, 0.7, 0.6, 0.5];
const CLEAR_CHUNKS = 12; // clear speech: 0.4 s ...
const CLEAR_PROBABILITY = 0.8; // ... with this mean probability
const MIN_SLOW_RATIO = 0.25; // speech ratio of a slower sound

/** Computes the speech ratio of any recent stretch of a signal at 16 kHz. */
export class StreamGate {
  constructor(detector) {
    this.detector = detector;
    this.pending = new Float32Array(0); // less than a chunk
    this.isSpeech = []; // for each chunk
    this.first = 0; // number of the oldest chunk in it
    this.speaking = false;
    this.level = 0; // RMS
    this.silentChunks = 0; // since the energy floor was last exceeded
  }

  async push(samples) {
    const signal = joined(this.pending, samples);
    let place = 0;
    for (; place + CHUNK <= signal.length; place += CHUNK) {
      this.isSpeech.push(await this.#detect(signal.subarray(place, place + CHUNK)));
    }
    this.pending = signal.slice(place);
  }

  /** Ratio of speech of the chunks in a stretch, in seconds; forgets what was before it. */
  speechRatio(start, end) {
    const length = CHUNK / RATE;
    const begin = rounded(start / length); // window starts lie half-way between chunks often enough
    while (this.first < begin && this.isSpeech.length) {
      this.isSpeech.shift();
      this.first++;
    }
    const chunks = this.isSpeech.slice(0, Math.max(0, Math.floor(end / length + 1e-6) - this.first));
    return chunks.length ? chunks.filter(Boolean).length / chunks.length : 0;
  }

  async #detect(chunk) {
    const mean = chunk.reduce((a, b) => a + b, 0) / chunk.length;
    const loudness = Math.sqrt(energy(chunk.map((sample) => sample - mean)) / chunk.length);
    this.level = Math.max(loudness, this.level * DECAY);
    if (loudness < ENERGY_FLOOR) {
      this.silentChunks++;
      this.speaking = false;
      return false;
    }
    if (this.silentChunks >= RESET_CHUNKS) this.detector.reset();
    this.silentChunks = 0;
    const probability = await this.detector.probability(amplified(chunk, LEVEL / this.level));
    this.speaking = probability >= (this.speaking ? OFFSET : ONSET);
    return this.speaking;
  }
}

/** Looks for speech in a whole recording at 16 kHz; returns {found, ratio}. `newDetector` makes a detector. */
export async function findSpeech(samples, newDetector) {
  if (samples.length < MIN_SECONDS * RATE) return { found: false, ratio: 0 };
  for (const speed of SPEEDS) {
    const probabilities = await speechProbabilities(resample(samples, Math.round(RATE * speed), RATE), newDetector());
    const ratio = speechRatio(probabilities);
    const clearest = probabilities
      .slice()
      .sort()
      .subarray(-CLEAR_CHUNKS)
      .reduce((a, b) => a + b, 0);
    if (clearest >= CLEAR_PROBABILITY * CLEAR_CHUNKS && (speed === 1 || ratio >= MIN_SLOW_RATIO)) {
      return { found: true, ratio };
    }
  }
  return { found: false, ratio: 0 };
}

/** A probability for each chunk; the last one is padded with silence. */
async function speechProbabilities(samples, detector) {
  const chunks = [];
  for (let place = 0; place < samples.length; place += CHUNK) {
    chunks.push(
      joined(samples.subarray(place, place + CHUNK), new Float32Array(Math.max(0, place + CHUNK - samples.length))),
    );
  }
  const loudness = Math.sqrt(chunks.reduce((most, chunk) => Math.max(most, energy(chunk) / CHUNK), 0));
  const probabilities = new Float32Array(chunks.length);
  if (loudness < ENERGY_FLOOR) return probabilities;
  for (const [i, chunk] of chunks.entries()) {
    probabilities[i] = await detector.probability(amplified(chunk, LEVEL / loudness));
  }
  return probabilities;
}

/** Ratio of the chunks that are speech, with hysteresis. */
function speechRatio(probabilities) {
  let speaking = false;
  let count = 0;
  for (const probability of probabilities) {
    speaking = probability >= (speaking ? OFFSET : ONSET);
    count += speaking;
  }
  return count / probabilities.length;
}

function amplified(chunk, gain) {
  return chunk.map((sample) => Math.min(1, Math.max(-1, sample * gain)));
}
