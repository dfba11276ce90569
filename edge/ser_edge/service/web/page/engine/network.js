// The networks: the model that turns features into probabilities, and Silero's voice detector. Both get ONNX Runtime
// and their session from outside, so that they run in a worker and elsewhere alike.

const CONTEXT = 64; // samples of the chunk before, which the voice detector gets again
const UNITS = 128; // of its LSTM

/** Classifies features, (frames, bands) row by row. */
export class Model {
  constructor(ort, session, metadata) {
    Object.assign(this, { ort, session, metadata });
    this.bands = metadata.features.n_mels;
  }

  /** The calibrated probability of each label, in a Float32Array. */
  async probabilities(features) {
    const input = this.#normalized(features);
    const tensor = new this.ort.Tensor("float32", input, [1, input.length / this.bands, this.bands]);
    const output = await this.session.run({ [this.session.inputNames[0]]: tensor }, [this.session.outputNames[0]]);
    return calibrated(output[this.session.outputNames[0]].data, this.metadata.temperature);
  }

  #normalized(features) {
    if (!this.metadata.normalization) return features;
    const { mean, deviation } = this.metadata.normalization;
    return features.map((value, i) => (value - mean[i % this.bands]) / deviation[i % this.bands]);
  }
}

/** The probability that a chunk of 32 ms, (512,) at 16 kHz, holds speech; for one signal. */
export class VoiceDetector {
  constructor(ort, session) {
    Object.assign(this, { ort, session });
    this.samples = new Float32Array(CONTEXT + 512);
    this.reset();
  }

  /** Clears the LSTM's state; the last samples stay. */
  reset() {
    this.h = this.#zeros();
    this.c = this.#zeros();
  }

  async probability(chunk) {
    this.samples.copyWithin(0, 512);
    this.samples.set(chunk, CONTEXT);
    const samples = new this.ort.Tensor("float32", this.samples, [1, this.samples.length]);
    const output = await this.session.run({ samples, h: this.h, c: this.c });
    this.h = output.next_h;
    this.c = output.next_c;
    return output.probability.data[0];
  }

  #zeros() {
    return new this.ort.Tensor("float32", new Float32Array(UNITS), [1, UNITS]);
  }
}

/** Log-probabilities divided by a temperature (Guo et al., 2017). */
function calibrated(probabilities, temperature) {
  if (temperature === 1) return Float32Array.from(probabilities);
  const logits = Array.from(probabilities, (p) => Math.log(Math.max(p, 1.17549435e-38)) / temperature);
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b);
  return Float32Array.from(powers, (power) => power / sum);
}
