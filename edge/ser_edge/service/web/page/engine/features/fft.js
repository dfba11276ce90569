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
    for (let bin = 0; bin < length; bin++) {
      this.#twiddle(place + bin, length, radix, bin * stride);
      if (radix === 4) this.#butterfly4(place + bin, length);
      else this.#butterfly(place + bin, length, radix);
    }
  }

  /** Takes `radix` values, `length` apart, and turns each by its share of an angle. */
  #twiddle(place, length, radix, step) {
    for (let i = 0, from = place, angle = 0; i < radix; i++, from += length) {
      this.partReal[i] = this.real[from] * this.cos[angle] - this.imaginary[from] * this.sin[angle];
      this.partImaginary[i] = this.real[from] * this.sin[angle] + this.imaginary[from] * this.cos[angle];
      angle += step;
      if (angle >= this.size) angle -= this.size;
    }
  }

  /** The DFT of four parts: additions alone. */
  #butterfly4(place, length) {
    const { real, imaginary } = this;
    const { 0: a, 1: b, 2: c, 3: d } = this.partReal;
    const { 0: e, 1: f, 2: g, 3: h } = this.partImaginary;
    real[place] = a + c + b + d;
    imaginary[place] = e + g + f + h;
    real[place + length] = a - c + f - h;
    imaginary[place + length] = e - g - b + d;
    real[place + 2 * length] = a + c - b - d;
    imaginary[place + 2 * length] = e + g - f - h;
    real[place + 3 * length] = a - c - f + h;
    imaginary[place + 3 * length] = e - g + b - d;
  }

  /** The DFT of the parts. */
  #butterfly(place, length, radix) {
    const { partReal, partImaginary, cos, sin, size } = this;
    for (let out = 0, to = place; out < radix; out++, to += length) {
      const step = (out * size) / radix;
      let sumReal = 0;
      let sumImaginary = 0;
      for (let i = 0, angle = 0; i < radix; i++) {
        sumReal += partReal[i] * cos[angle] - partImaginary[i] * sin[angle];
        sumImaginary += partReal[i] * sin[angle] + partImaginary[i] * cos[angle];
        angle += step;
        if (angle >= size) angle -= size;
      }
      this.real[to] = sumReal;
      this.imaginary[to] = sumImaginary;
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
