// The front-end: log-mel features as ser_edge.features.frontend computes them, for whole signals and for streams.

import { joined } from "../../audio/resampler.js";
import { PowerSpectrum } from "./fft.js";
import { melFilters } from "./mel.js";

const NEPERS = Math.log(10) / 10; // in a decibel of power
const MIN_POWER = 1e-10;
const MIN_POWER_LEVEL_FREE = 1e-20;
const PEAK_PERCENTILE = 99.5; // of an utterance's log-mel values

/** Computes the features that a model's metadata describes; spectra are (frames, bands) in a Float32Array, by rows. */
export class FrontEnd {
  constructor(config) {
    if (config.n_mfcc !== null || config.span_db === null) {
      throw new Error("this model's front-end needs ser-edge: the page computes trimmed log-mel features only");
    }
    this.config = config;
    this.bands = config.n_mels;
    this.maxFrames =
      config.seconds === null ? null : Math.floor(Math.round(config.seconds * config.sample_rate) / config.hop_length);
    this.spectrum = new PowerSpectrum(config.n_fft);
    this.filters = melFilters(config);
    this.window = hann(config.win_length ?? config.n_fft, config.n_fft);
    this.minPower = config.range_db === null ? MIN_POWER : MIN_POWER_LEVEL_FREE;
  }

  /** The log-mel spectrum, in dB, of a whole signal at the model's rate. */
  logMel(samples) {
    const half = this.config.n_fft / 2;
    return this.frames(joined(new Float32Array(half), samples, new Float32Array(half)));
  }

  /** The frames that lie entirely within the samples; the first starts at sample 0. */
  frames(samples) {
    const { n_fft: size, hop_length: hop } = this.config;
    const count = Math.max(0, Math.floor((samples.length - size) / hop) + 1);
    const decibels = new Float32Array(count * this.bands);
    const frame = new Float64Array(size);
    for (let f = 0; f < count; f++) {
      for (let i = 0; i < size; i++) frame[i] = samples[f * hop + i] * this.window[i];
      const power = this.spectrum.of(frame);
      this.filters.forEach(({ first, weights }, band) => {
        let sum = 0;
        for (let i = 0; i < weights.length; i++) sum += weights[i] * power[first + i];
        decibels[f * this.bands + band] = Math.log(Math.max(sum, this.minPower)) / NEPERS;
      });
    }
    return decibels;
  }

  /** [start, stop) of the frames that are about as loud as the loudest, with the margin. */
  span(spectrum) {
    const count = spectrum.length / this.bands;
    const loudness = new Float32Array(count);
    for (let f = 0; f < count; f++) {
      let sum = 0;
      for (let b = 0; b < this.bands; b++) sum += Math.exp(spectrum[f * this.bands + b] * NEPERS);
      loudness[f] = 10 * Math.log10(sum);
    }
    const floor = loudness.reduce((a, b) => Math.max(a, b)) - this.config.span_db;
    const margin = this.config.span_margin;
    const first = loudness.findIndex((value) => value >= floor);
    const last = loudness.findLastIndex((value) => value >= floor);
    return [Math.max(0, first - margin), Math.min(count, last + 1 + margin)];
  }

  /** The network's input for one utterance: cut to its span, relative to its peak. */
  utterance(spectrum) {
    const { top_db: top, range_db: range } = this.config;
    let [start, stop] = this.span(spectrum);
    if (this.maxFrames !== null) stop = Math.min(stop, start + this.maxFrames);
    const values = spectrum.slice(start * this.bands, stop * this.bands);
    if (top !== null) clipBelow(values, values.reduce((a, b) => Math.max(a, b)) - top, 0);
    if (range !== null) clipBelow(values, -range, percentile(values, PEAK_PERCENTILE));
    return values;
  }

  /** The inputs that cover all the speech of a recording; they overlap by half. */
  windows(samples) {
    const spectrum = this.logMel(samples);
    if (this.maxFrames === null) return [this.utterance(spectrum)];
    const [start, stop] = this.span(spectrum);
    const length = this.maxFrames;
    const last = Math.max(0, stop - start - length);
    const starts = [];
    for (let i = 0; i < last; i += Math.floor(length / 2)) starts.push(i);
    return [...starts, last].map((i) => {
      const end = Math.min(start + i + length, stop);
      return this.utterance(spectrum.subarray((start + i) * this.bands, end * this.bands));
    });
  }
}

/** Computes the log-mel spectrum of an endless signal in pieces; together they equal that of the whole. */
export class IncrementalLogMel {
  constructor(frontEnd) {
    this.frontEnd = frontEnd;
    this.left = new Float32Array(frontEnd.config.n_fft / 2); // from the next frame's first sample on
  }

  push(samples) {
    const signal = joined(this.left, samples);
    const frames = this.frontEnd.frames(signal);
    this.left = signal.slice((frames.length / this.frontEnd.bands) * this.frontEnd.config.hop_length);
    return frames;
  }

  /** The last frames, padded with zeros. */
  finish() {
    return this.push(new Float32Array(this.frontEnd.config.n_fft / 2));
  }
}

function hann(width, size) {
  const window = new Float32Array(size);
  const offset = (size - width) / 2;
  for (let i = 0; i < width; i++) window[offset + i] = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / width);
  return window;
}

/** Subtracts the peak, then raises what is below the floor to it. */
function clipBelow(values, floor, peak) {
  for (let i = 0; i < values.length; i++) values[i] = Math.max(values[i] - peak, floor);
}

function percentile(values, percent) {
  const sorted = values.slice().sort();
  const place = (percent / 100) * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}
