// The engine of a page that ser-edge serves: its HTTP API. Addresses are relative, so that a prefix works.

const OVERLOAD_SECONDS = 5; // of samples that wait to be sent; more are dropped
const token = takeToken();

export class Engine {
  /** What the server says of its model: {model, notice, microphone, limits, ...}. */
  async model() {
    return (await request("v1/model")).json();
  }

  /** Classifies a File, in one request; the sound that the page decoded isn't sent. {predictions, overall, warnings} */
  async predict(file) {
    this.cancel();
    this.predicting = new AbortController();
    const { signal } = this.predicting;
    const headers = { "Content-Type": "application/octet-stream" };
    const url = `v1/predict?overall=1&name=${encodeURIComponent(file.name)}`;
    return (await request(url, { method: "POST", body: file, signal, headers })).json();
  }

  /** Ends the classification of a file, if there is one. */
  cancel() {
    this.predicting?.abort();
  }

  /** A stream of mono samples: {push, end, dropped, onprediction, onerror, onclose}. */
  stream(rate) {
    return new SocketStream(rate);
  }

  /** The device's microphone; the callbacks get the data of its events. Returns a function that ends it. */
  events(onPrediction, onHealth, onLost) {
    const source = new EventSource(address("v1/events"));
    source.addEventListener("prediction", ({ data }) => onPrediction(JSON.parse(data)));
    source.addEventListener("health", ({ data }) => onHealth(JSON.parse(data)));
    source.onerror = () => onLost(source.readyState !== EventSource.CLOSED); // else the browser connects again
    return () => source.close();
  }
}

class SocketStream {
  constructor(rate) {
    const url = address(`v1/stream?rate=${Math.round(rate)}&format=f32&channels=1`);
    url.protocol = url.protocol.replace("http", "ws");
    this.limit = OVERLOAD_SECONDS * rate * 4; // bytes
    this.waiting = [];
    this.dropped = 0; // samples
    this.failed = false;
    this.socket = new WebSocket(url);
    this.socket.onopen = () => this.waiting.splice(0).forEach((part) => this.socket.send(part));
    this.socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    this.socket.onclose = () => this.failed || this.onclose?.();
  }

  push(samples) {
    if (this.socket.readyState === WebSocket.CONNECTING) this.waiting.push(samples);
    else if (this.socket.readyState !== WebSocket.OPEN || this.socket.bufferedAmount > this.limit) {
      this.dropped += samples.length;
    } else this.socket.send(samples);
  }

  end() {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send("end");
    else this.socket.close();
  }

  #receive(message) {
    if (message.error === undefined) return this.onprediction?.(message);
    if (message.code === "web-stopping") return; // the server may come back: its close is what counts
    this.failed = true;
    return this.onerror?.(new Error(message.error));
  }
}

/**
 * The token of the page's address, which is taken out of it, so that nobody reads it there or copies it with the link;
 * this tab keeps it, so that the page can be loaded again. Null where there is none.
 */
function takeToken() {
  const url = new URL(location.href);
  const key = `ser-edge token ${url.pathname}`;
  const given = url.searchParams.get("token");
  try {
    if (given === null) return sessionStorage.getItem(key);
    sessionStorage.setItem(key, given);
  } catch {
    return given; // a browser that stores nothing needs the address again
  }
  url.searchParams.delete("token");
  history.replaceState(history.state, "", url);
  return given;
}

async function request(path, options = {}) {
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("the server doesn't answer; is ser-edge still running?");
  }
  if (response.ok) return response;
  if (response.status === 401) throw new Error("this server asks for its token; open the page with ?token=...");
  const { error } = await response.json().catch(() => ({}));
  throw new Error(error ?? `the server answered ${response.status} ${response.statusText}`);
}

/** A URL below the page's own, with the token, for what can't have headers. */
function address(path) {
  const url = new URL(path, document.baseURI);
  if (token) url.searchParams.set("token", token);
  return url;
}
