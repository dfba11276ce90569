// The engine of a page without a server: ONNX Runtime in a worker of this browser. Nothing leaves the machine.

const OVERLOAD_SECONDS = 5; // of samples that wait for the worker; more are dropped

export class Engine {
  constructor() {
    this.calls = new Map(); // by number: what is to be done with an answer
    this.number = 0;
    this.predicting = null; // number of the call that classifies a file
    this.#start();
  }

  /** What the page was built with: {model, notice, ...}; resolved when the networks are loaded. */
  async model() {
    const { result } = await this.#call({ kind: "model" });
    return { ...result, microphone: false };
  }

  /** Classifies a sound, {rate, channels}, that the page decoded from the file. */
  async predict(file, sound, onProgress) {
    const answer = this.#call({ kind: "predict", sound }, onProgress);
    const call = (this.predicting = this.number);
    const { result } = await answer.finally(() => {
      if (this.predicting === call) this.predicting = null;
    });
    const named = (prediction) => ({ ...prediction, path: file.name });
    const warnings = [...sound.warnings, ...result.warnings.map((warning) => `${file.name}: ${warning}`)];
    return { predictions: result.predictions.map(named), overall: named(result.overall), warnings };
  }

  /** Ends the classification of a file, if there is one: its worker can't be interrupted, but replaced. */
  cancel() {
    if (this.predicting === null) return;
    this.worker.terminate();
    this.#start();
    this.#fail("cancelled");
  }

  /** A stream of mono samples: {push, end, dropped, onprediction, onerror, onclose}. */
  stream(rate) {
    const number = this.#number();
    const stream = new WorkerStream(rate, (message) => this.worker.postMessage({ call: number, ...message }));
    this.calls.set(number, (data) => {
      stream.receive(data);
      if (data.done) this.calls.delete(number);
    });
    return stream;
  }

  #start() {
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.calls.get(data.call)?.(data);
    this.worker.onerror = (event) => this.#fail(event.message || "the engine can't be loaded");
  }

  #fail(error) {
    for (const answer of [...this.calls.values()]) answer({ error });
  }

  #call(message, onProgress = () => {}) {
    const call = this.#number();
    return new Promise((resolve, reject) => {
      this.calls.set(call, (data) => {
        if (data.progress !== undefined) return onProgress(data.progress);
        this.calls.delete(call);
        return data.error === undefined ? resolve(data) : reject(new Error(data.error));
      });
      this.worker.postMessage({ call, ...message });
    });
  }

  #number() {
    return ++this.number;
  }
}

class WorkerStream {
  constructor(rate, post) {
    Object.assign(this, { rate, post, unanswered: 0, dropped: 0 });
    post({ kind: "open", rate });
  }

  push(samples) {
    if (this.unanswered > OVERLOAD_SECONDS * this.rate) {
      this.dropped += samples.length;
      return;
    }
    this.unanswered += samples.length;
    this.post({ kind: "samples", samples });
  }

  end() {
    this.post({ kind: "end" });
  }

  receive({ prediction, taken, error, done }) {
    if (taken) this.unanswered -= taken;
    if (prediction) this.onprediction?.(prediction);
    if (error !== undefined) this.onerror?.(new Error(error));
    if (done) this.onclose?.();
  }
}
