// The waveform of a recording, in the colour of the emotion at each place.

import { canvasColours, onAppearance, prepared } from "./palette.js";

const HEIGHT = 108;
const BAR = 3; // pixels, with the gap behind it
const GAP = 1;

export class Waveform {
  constructor(canvas, labels) {
    Object.assign(this, { canvas, labels, sound: null, segments: [] });
    onAppearance(canvas, () => this.draw());
  }

  /** `sound` is {rate, channels}, or null where it can't be decoded here. */
  show(sound, segments, seconds) {
    Object.assign(this, { sound, segments, seconds });
    this.draw();
  }

  draw() {
    if (!this.sound) return;
    const { context, width } = prepared(this.canvas, HEIGHT);
    const colours = canvasColours(this.labels);
    const count = Math.floor(width / BAR);
    if (count < 1) return;
    const peaks = this.#peaks(count);
    const loudest = Math.max(...peaks, 1e-4);
    for (let i = 0; i < count; i++) {
      const height = Math.max(2, (peaks[i] / loudest) * (HEIGHT - 6));
      const place = this.labels.indexOf(this.#labelAt(((i + 0.5) / count) * this.seconds));
      context.fillStyle = colours.labels[place] ?? colours.soft;
      context.globalAlpha = place < 0 ? 0.45 : 1;
      context.beginPath();
      context.roundRect(i * BAR, (HEIGHT - height) / 2, BAR - GAP, height, 1);
      context.fill();
    }
    context.globalAlpha = 1;
  }

  #labelAt(seconds) {
    return this.segments.find(({ start, end }) => start <= seconds && seconds < end)?.label;
  }

  /** The largest amplitude in each of so many parts, over all channels; kept while the width stays. */
  #peaks(count) {
    if (this.peaksOf === this.sound && this.peaks.length === count) return this.peaks;
    this.peaksOf = this.sound;
    this.peaks = new Float32Array(count);
    for (const samples of this.sound.channels) {
      const step = Math.max(1, Math.floor(samples.length / count / 2000)); // of a long recording not every sample
      for (let i = 0; i < samples.length; i += step) {
        const part = Math.floor((i / samples.length) * count);
        this.peaks[part] = Math.max(this.peaks[part], Math.abs(samples[i]));
      }
    }
    return this.peaks;
  }
}
