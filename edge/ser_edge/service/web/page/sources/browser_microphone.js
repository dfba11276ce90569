// This browser's microphone as a source: samples to the engine's stream, and a stream again where one breaks off.

import { energy } from "../audio/downmix.js";
import { Capture } from "./capture.js";

const RETRIES = [0.5, 1, 2, 4, 8]; // seconds before the next attempt to reach the engine; the last is repeated
const HEALTH_EVERY = 500; // ms

export class BrowserMicrophone {
  title = "This browser’s microphone";

  /** `on` has the callbacks prediction, level, health and problem; a problem ends the source. */
  constructor(engine, on) {
    Object.assign(this, { engine, on, attempt: 0, reconnections: 0, dropped: 0, lag: 0, offset: 0, taken: 0 });
  }

  async start() {
    this.capture = await Capture.open(
      (samples) => this.#take(samples),
      () => this.#fail(new Error("the microphone was disconnected; plug it in, and start again")),
    );
    this.#connect();
    this.timer = setInterval(() => this.#report(), HEALTH_EVERY);
  }

  async stop() {
    this.stopped = true;
    clearInterval(this.timer);
    clearTimeout(this.retry);
    this.stream?.end();
    await this.capture?.close();
  }

  #connect() {
    const stream = this.engine.stream(this.capture.rate);
    this.stream = stream;
    this.offset = this.taken; // seconds: a new stream counts from 0
    stream.onprediction = (prediction) => {
      if (this.stopped) return;
      this.attempt = 0;
      const { start, end } = prediction;
      this.lag = Math.max(0, this.taken - this.offset - end);
      this.on.prediction({ ...prediction, start: start + this.offset, end: end + this.offset });
    };
    stream.onerror = (error) => this.#fail(error);
    stream.onclose = () => {
      if (this.stopped) return;
      this.dropped += stream.dropped;
      this.stream = null;
      const wait = RETRIES[Math.min(this.attempt++, RETRIES.length - 1)];
      this.reconnections++;
      this.retry = setTimeout(() => this.#connect(), 1000 * wait);
    };
  }

  #take(samples) {
    if (this.stopped) return;
    this.taken += samples.length / this.capture.rate;
    if (this.stream) this.stream.push(samples);
    else this.dropped += samples.length;
    this.on.level(10 * Math.log10(energy(samples) / samples.length + 1e-12));
  }

  #report() {
    const { name: device, rate } = this.capture;
    const dropped = (this.dropped + (this.stream?.dropped ?? 0)) / rate;
    this.on.health({
      device,
      rate,
      lag: this.lag,
      dropped,
      reconnections: this.reconnections,
      listening: Boolean(this.stream),
    });
  }

  #fail(error) {
    if (!this.stopped) this.on.problem(error);
  }
}
