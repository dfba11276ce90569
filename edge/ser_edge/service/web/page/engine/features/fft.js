// The power spectrum of real frames of any length, by a mixed-radix FFT: Whisper's frames have 400 samples.

export class PowerSpectrum {
  constructor(size) {
    this.size = size;
    this.factors = factorized(size);
    this.cos = Float64Array.from({ length: size }, (_, i) => Math.cos((2 * Math.PI * i) / size));
    this.sin = Float64Array.from({ length: size }, (_, i) => -Math.sin((2 * Math.PI * i) / size));
    this.real = new Float64Array(size);
    this.imaginary = new Float64Array(size);
    this.partReal = new Float64Array(Math.max(...this.factors));
    this.partImaginary = new Float64Array(Math.max(...this.factors));
    this.power = new Float64Array(size / 2 + 1);
  }

  /** (size,) samples to (size / 2 + 1,) squared magnitudes, in an array that the next call overwrites. */
  of(samples) {
    this.#transform(samples, 0, 1, 0, this.size, 0);
    for (let i = 0; i < this.power.length; i++) this.power[i] = this.real[i] ** 2 + this.imaginary[i] ** 2;
    return this.power;
  }

  /** The DFT of every `stride`th sample from `start` on, to `count` values from `place` on. */
  #transform(samples, start, stride, place, count, level) {
    if (count === 1) {
      this.real[place] = samples[start];
      this.imaginary[place] = 0;
      return;
    }
    const radix = this.factors[level];
    const length = count / radix;
    for (let i = 0; i < radix; i++) {
      this.#transform(samples, start + i * stride, stride * radix, place + i * length, length, level + 1);
    }
    const { real, imaginary, partReal, partImaginary, cos, sin, size } = this;
    for (let bin = 0; bin < length; bin++) {
      for (let i = 0; i < radix; i++) {
        const from = place + i * length + bin;
        const angle = (bin * i * stride) % size;
        partReal[i] = real[from] * cos[angle] - imaginary[from] * sin[angle];
        partImaginary[i] = real[from] * sin[angle] + imaginary[from] * cos[angle];
      }
      for (let out = 0; out < radix; out++) {
        let sumReal = 0;
        let sumImaginary = 0;
        for (let i = 0; i < radix; i++) {
          const angle = (i * out * length * stride) % size;
          sumReal += partReal[i] * cos[angle] - partImaginary[i] * sin[angle];
          sumImaginary += partReal[i] * sin[angle] + partImaginary[i] * cos[angle];
        }
        real[place + out * length + bin] = sumReal;
        imaginary[place + out * length + bin] = sumImaginary;
      }
    }
  }
}

function factorized(size) {
  const factors = [];
  for (const radix of [4, 2, 3, 5]) {
    while (size % radix === 0) {
      factors.push(radix);
      size /= radix;
    }
  }
  if (size > 1) factors.push(size); // slow, but right
  return factors.length ? factors : [1];
}
