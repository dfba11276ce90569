// Runs the networks beside the page, so that it stays smooth: in one thread of WebAssembly, which needs no special
// headers. Messages carry the number of a call; those of a call are answered in order.

import * as ort from "../vendor/ort.wasm.min.mjs";
import { Downmix } from "../audio/downmix.js";
import { Model, VoiceDetector } from "./network.js";
import { Recognizer } from "./recognition/recognizer.js";
import { Stream } from "./recognition/stream.js";

const FOLDER = new URL("../models/", import.meta.url);
const streams = new Map(); // by number of the call
let queue = Promise.resolve();

ort.env.wasm.numThreads = 1;
const loading = load();
loading.catch(() => {}); // reported where it is awaited

self.onmessage = ({ data }) => {
  queue = queue.then(() => answer(data)).catch((error) => self.postMessage({ call: data.call, error: error.message }));
};

async function answer({ call, kind, ...message }) {
  const post = (data) => self.postMessage({ call, ...data });
  const { description, recognizer } = await loading;
  if (kind === "model") post({ result: description });
  if (kind === "predict") post({ result: await recognizer.predict(message.sound, (progress) => post({ progress })) });
  if (kind === "open") {
    streams.set(call, { downmix: new Downmix(message.rate, 1), stream: new Stream(recognizer, message.rate) });
  }
  const { downmix, stream } = streams.get(call) ?? {};
  if (kind === "samples") {
    await push(stream, downmix.push([message.samples]), post);
    post({ taken: message.samples.length });
  }
  if (kind === "end") {
    streams.delete(call);
    await push(stream, downmix.finish(), post);
    for (const prediction of await stream.finish()) post({ prediction });
    post({ done: true });
  }
}

async function push(stream, blocks, post) {
  for (const block of blocks) {
    for (const prediction of await stream.push(block)) post({ prediction });
  }
}

async function load() {
  const response = await fetch(new URL("model.json", FOLDER));
  if (!response.ok) throw new Error(`model.json: ${response.status} ${response.statusText}`);
  const description = await response.json();
  const [model, detector] = await Promise.all([description.files.model, description.files.detector].map(open));
  const newDetector = () => new VoiceDetector(ort, detector);
  return { description, recognizer: new Recognizer(new Model(ort, model, description.model), newDetector) };
}

function open(name) {
  return ort.InferenceSession.create(new URL(name, FOLDER).href, { executionProviders: ["wasm"] });
}
