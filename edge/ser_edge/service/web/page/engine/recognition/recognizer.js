// Classifies whole sounds: ser_edge.recognition.recognizer, for the page without a server.

import { Downmix } from "../../audio/downmix.js";
import { joined, resample } from "../../audio/resampler.js";
import { FrontEnd } from "../features/front_end.js";
import { NO_SPEECH, prediction } from "./prediction.js";
import { findSpeech } from "./speech_gates.js";
import { Stream } from "./stream.js";

const UTTERANCE_SECONDS = 60; // a longer recording is classified window by window, and those with speech are averaged
const SILENCE_PEAK = 1e-4; // -80 dBFS
const SILENT = "silent, nothing above -80 dBFS; check the microphone or the recording level";

export class Recognizer {
  /** `newDetector` makes a VoiceDetector for a signal. */
  constructor(model, newDetector) {
    Object.assign(this, { model, newDetector, metadata: model.metadata, threshold: model.metadata.threshold });
    this.frontEnd = new FrontEnd(model.metadata.features);
  }

  /** {predictions, overall, warnings} of a sound, {rate, channels}; `onProgress` gets the part done, 0 to 1. */
  async predict({ rate, channels }, onProgress = () => {}) {
    const blocks = monoBlocks(rate, channels);
    const seconds = channels[0].length / rate;
    const stream = new Stream(this, rate);
    const predictions = [];
    for (const block of blocks) {
      predictions.push(...(await stream.push(block)));
      onProgress(stream.seconds / seconds);
    }
    predictions.push(...(await stream.finish()));
    if (!predictions.length) throw new Error("no samples in it; choose another file");
    const samples = joined(...blocks);
    const warnings = samples.some((sample) => Math.abs(sample) >= SILENCE_PEAK) ? [] : [SILENT];
    const long = seconds > UTTERANCE_SECONDS;
    const overall = long ? this.#mean(predictions, stream.seconds) : await this.#utterance(samples, rate);
    return { predictions, overall, warnings };
  }

  /** Classifies a recording as one utterance. */
  async #utterance(mono, rate) {
    const { labels, features } = this.metadata;
    const samples = resample(mono, rate, features.sample_rate);
    const speech = await findSpeech(samples, this.newDetector);
    const probabilities = speech.found ? await this.#windowsMean(samples) : null;
    const end = samples.length / features.sample_rate;
    return prediction(labels, probabilities, this.threshold, 0, end, speech.ratio);
  }

  async #windowsMean(samples) {
    const sum = new Float64Array(this.metadata.labels.length);
    const windows = this.frontEnd.windows(samples);
    for (const window of windows) {
      const probabilities = await this.model.probabilities(window);
      probabilities.forEach((p, i) => (sum[i] += p / windows.length));
    }
    return Float32Array.from(sum);
  }

  /** The mean over the windows with speech; without any the ratio is 0, as that of an utterance. */
  #mean(predictions, seconds) {
    const { labels } = this.metadata;
    const spoken = predictions.filter(({ label }) => label !== NO_SPEECH);
    if (!spoken.length) return prediction(labels, null, this.threshold, 0, seconds, 0);
    const mean = labels.map((name) => spoken.reduce((sum, p) => sum + p.probabilities[name], 0) / spoken.length);
    const ratio = predictions.reduce((sum, p) => sum + p.speech, 0) / predictions.length;
    return prediction(labels, Float32Array.from(mean), this.threshold, 0, seconds, ratio);
  }
}

/** The mono blocks of a sound. */
export function monoBlocks(rate, channels) {
  const downmix = new Downmix(rate, channels.length);
  return [...downmix.push(channels), ...downmix.finish()];
}
