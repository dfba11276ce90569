// Classifies a signal window by window: ser_edge.recognition.streaming, with the default windows of 3 s every 0.5 s.

import { Resampler, joined } from "../../audio/resampler.js";
import { IncrementalLogMel } from "../features/front_end.js";
import { prediction } from "./prediction.js";
import { MIN_SECONDS, StreamGate } from "./speech_gates.js";

const HOP_SECONDS = 0.5; // from window to window
const MIN_SPEECH_RATIO = 0.2; // a window with less is `no-speech`
const MIN_ADDED = 0.1; // seconds that the last window, which ends with the signal, must add to the one before it

export class Stream {
  /** `recognizer` is a Recognizer; blocks of mono samples come at `rate` Hz, without a DC offset (Downmix). */
  constructor(recognizer, rate) {
    const { frontEnd, metadata } = recognizer;
    const { sample_rate: modelRate, hop_length: hop } = metadata.features;
    Object.assign(this, { recognizer, frontEnd, metadata, modelRate, hopLength: hop });
    this.window = frontEnd.maxFrames ?? Math.round((3 * modelRate) / hop);
    this.hop = Math.max(1, Math.round((HOP_SECONDS * modelRate) / hop));
    this.resampler = new Resampler(rate, modelRate);
    this.gate = new StreamGate(recognizer.newDetector());
    this.logMel = new IncrementalLogMel(frontEnd);
    this.spectrum = new Float32Array(0); // from frame `offset` on
    this.offset = 0;
    this.next = 0; // frame at which the next window begins
    this.received = 0; // samples, at the model's rate
    this.waiting = []; // samples without frames yet
    this.before = null; // the last window's probabilities, if it held speech
  }

  get seconds() {
    return this.received / this.modelRate;
  }

  /** Takes a block; returns the predictions for the windows that it completes. */
  async push(block) {
    return this.#receive(this.resampler.process(block));
  }

  /** Ends the signal; the last window ends here, and may be shorter than a window. */
  async finish() {
    const predictions = await this.#receive(this.resampler.finish());
    if (!this.received) return predictions;
    this.#append(this.logMel.push(joined(...this.waiting)));
    this.#append(this.logMel.finish());
    const total = this.#frames();
    predictions.push(...(await this.#complete(total)));
    const covered = ((this.next - this.hop + this.window) * this.hopLength) / this.modelRate;
    if (this.next === 0 || this.seconds - covered >= MIN_ADDED) {
      predictions.push(await this.#classify(Math.max(0, total - this.window)));
    }
    return predictions;
  }

  async #receive(samples) {
    this.received += samples.length;
    await this.gate.push(samples);
    this.waiting.push(samples);
    if (this.received < (this.next + this.window) * this.hopLength) return [];
    this.#append(this.logMel.push(joined(...this.waiting)));
    this.waiting = [];
    // A window is complete with all its samples, not only its frames, so that the gate has seen them.
    return this.#complete(Math.min(this.#frames(), Math.floor(this.received / this.hopLength)));
  }

  #append(frames) {
    this.spectrum = joined(this.spectrum, frames);
  }

  #frames() {
    return this.offset + this.spectrum.length / this.frontEnd.bands;
  }

  /** Classifies the windows that end within so many frames, and forgets frames that no window needs. */
  async #complete(frames) {
    const predictions = [];
    let last = null;
    for (; this.next + this.window <= frames; this.next += this.hop) {
      last = this.next;
      predictions.push(await this.#classify(last));
    }
    if (last !== null) {
      // The last window's frames stay: the window at the end of the signal may begin among them.
      this.spectrum = this.spectrum.slice((last - this.offset) * this.frontEnd.bands);
      this.offset = last;
    }
    return predictions;
  }

  /** The prediction for the window that begins at this frame. */
  async #classify(start) {
    const stop = Math.min(start + this.window, this.#frames());
    const begin = (start * this.hopLength) / this.modelRate;
    const end = Math.min(stop * this.hopLength, this.received) / this.modelRate;
    const tooShort = end < MIN_SECONDS; // the whole signal
    const ratio = tooShort ? 0 : this.gate.speechRatio(begin, end);
    let probabilities = null;
    if (ratio >= MIN_SPEECH_RATIO) {
      const { bands } = this.frontEnd;
      const spectrum = this.spectrum.subarray((start - this.offset) * bands, (stop - this.offset) * bands);
      probabilities = await this.recognizer.model.probabilities(this.frontEnd.utterance(spectrum));
    }
    const { labels } = this.metadata;
    return prediction(labels, this.#smoothed(probabilities), this.recognizer.threshold, begin, end, ratio);
  }

  /** The mean of this window and the one before, so that one odd window doesn't make the label flicker. */
  #smoothed(probabilities) {
    const { before } = this;
    this.before = probabilities;
    return probabilities && before ? probabilities.map((p, i) => (p + before[i]) / 2) : probabilities;
  }
}
