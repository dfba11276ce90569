// Mixes the channels of a sound down to one signal without a DC offset, in blocks of a tenth of a second: the rules
// and the blocks of ser_edge.audio.downmix, so that page and command classify the same samples.

const BLOCK_SECONDS = 0.1;
const MEMORY = 10; // blocks over which the mean is followed: 1 s
const MAX_AMPLITUDE = 1e12; // beyond it, and NaN, is silence
// Power of the mean, relative to the strongest channel's: below it that channel is taken, above it the mean again.
const CANCELLED = 0.1;
const RESTORED = 0.3;
const LOUDER = 2; // times the power of the channel that is taken: another replaces it

export class Downmix {
  constructor(rate, channels) {
    this.length = Math.max(1, Math.round(BLOCK_SECONDS * rate));
    this.pending = Array.from({ length: channels }, () => new Float32Array(this.length));
    this.count = 0; // samples in it
    this.followed = 0; // blocks in the mean
    this.dc = null; // of each channel, at the end of the block before
    this.power = new Float64Array(channels); // of each, so far
    this.meanPower = 0;
    this.strongest = null; // the channel that is taken; null takes their mean
  }

  /** Takes a Float32Array for each channel, all of one length; returns the mono blocks that they complete. */
  push(channels) {
    const blocks = [];
    const total = channels[0].length;
    for (let read = 0; read < total;) {
      const step = Math.min(this.length - this.count, total - read);
      this.pending.forEach((block, i) => block.set(channels[i].subarray(read, read + step), this.count));
      read += step;
      this.count += step;
      if (this.count === this.length) blocks.push(...this.finish());
    }
    return blocks;
  }

  /** The last samples, less than a block; none where none are left. */
  finish() {
    const count = this.count;
    this.count = 0;
    if (!count) return [];
    return [
      this.#mixed(
        this.#withoutDc(
          this.pending.map((block) => block.slice(0, count)),
          count,
        ),
        count,
      ),
    ];
  }

  #withoutDc(block, count) {
    const means = block.map((samples) => {
      let sum = 0;
      for (let i = 0; i < count; i++) {
        if (!(Math.abs(samples[i]) <= MAX_AMPLITUDE)) samples[i] = 0;
        sum += samples[i];
      }
      return sum / count;
    });
    const before = this.dc ?? means;
    this.followed = Math.min(this.followed + count / this.length, MEMORY);
    const weight = count / this.length / this.followed;
    this.dc = before.map((value, i) => value + (means[i] - value) * weight);
    block.forEach((samples, channel) => {
      const start = before[channel];
      const slope = (this.dc[channel] - start) / this.length;
      for (let i = 0; i < count; i++) samples[i] -= start + slope * i;
    });
    return block;
  }

  #mixed(block, count) {
    if (block.length === 1) return block[0];
    const mean = new Float32Array(count);
    for (const samples of block) for (let i = 0; i < count; i++) mean[i] += samples[i] / block.length;
    block.forEach((samples, i) => (this.power[i] += energy(samples)));
    this.meanPower += energy(mean);
    this.#choose();
    return this.strongest === null ? mean : block[this.strongest];
  }

  /** Chooses the mean or a channel, by their power from the beginning on. */
  #choose() {
    const loudest = this.power.indexOf(Math.max(...this.power));
    const most = this.power[loudest];
    if (this.strongest === null) {
      if (this.meanPower < CANCELLED * most) this.strongest = loudest;
    } else if (this.meanPower > RESTORED * most) {
      this.strongest = null;
    } else if (most > LOUDER * this.power[this.strongest]) {
      this.strongest = loudest;
    }
  }
}

/** The sum of squares of samples. */
export function energy(samples) {
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum += samples[i] * samples[i];
  return sum;
}
