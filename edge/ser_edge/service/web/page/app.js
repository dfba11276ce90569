// The page: one source at a time, a microphone or a file, and the answers for it.

import { decode } from "./audio/decoding.js";
import { clock, described } from "./output/segments.js";
import { BrowserMicrophone } from "./sources/browser_microphone.js";
import { DeviceMicrophone } from "./sources/device_microphone.js";
import { showAbout } from "./views/about.js";
import { Answer, announce } from "./views/answer.js";
import { FileView } from "./views/file_view.js";
import { LiveView } from "./views/live_view.js";

const byId = (id) => document.getElementById(id);
const isLocal = document.querySelector('meta[name="engine"]').content === "browser";

class Page {
  constructor(engine, description) {
    const { labels, threshold } = description.model;
    Object.assign(this, { engine, source: null, work: 0 });
    this.answer = new Answer(labels, threshold);
    this.live = new LiveView(labels);
    this.file = new FileView(labels, (prediction, seconds) => this.answer.show(prediction, `At ${clock(seconds)}`));
    this.buttons = new Map([
      [byId("microphone"), BrowserMicrophone],
      [byId("device"), DeviceMicrophone],
    ]);
    byId("device").hidden = !description.microphone;
    this.#connect();
  }

  #connect() {
    for (const [button, kind] of this.buttons) {
      button.disabled = false;
      button.onclick = () => (button.ariaPressed === "true" ? this.stop() : this.#listen(button, kind));
    }
    byId("open").disabled = false;
    byId("open").onclick = () => byId("file").click();
    byId("file").onchange = ({ target }) => {
      if (target.files.length) this.#classify(target.files[0]);
      target.value = ""; // so that the same file can be chosen again
    };
    let depth = 0; // elements that are being dragged over
    const over = (change) => (byId("drop").hidden = (depth = Math.max(0, depth + change)) === 0);
    document.ondragenter = () => over(1);
    document.ondragleave = () => over(-1);
    document.ondragover = (event) => event.preventDefault();
    document.ondrop = (event) => {
      event.preventDefault();
      over(-depth);
      if (event.dataTransfer.files.length) this.#classify(event.dataTransfer.files[0]);
    };
  }

  async #listen(button, Source) {
    await this.stop();
    const work = this.#begin("live", "Listening …");
    const source = new Source(this.engine, {
      prediction: (prediction) => {
        this.answer.show(prediction, "Now");
        this.answer.announce(prediction);
        this.live.add(prediction);
      },
      level: (decibels) => this.live.level(decibels),
      health: (health) => this.live.health(health),
      problem: (error) => this.stop().then(() => showProblem(sentence(error))),
    });
    this.source = source;
    button.ariaPressed = "true";
    this.live.start(source.title);
    try {
      await source.start();
      if (work === this.work) announce("Listening");
      else await source.stop(); // another source was chosen while this one was opened
    } catch (error) {
      if (work !== this.work) return;
      await this.stop();
      showProblem(sentence(error));
    }
  }

  /** Ends the microphone, if one is open. */
  async stop() {
    const { source } = this;
    this.source = null;
    this.work++;
    this.engine.cancel();
    for (const button of this.buttons.keys()) button.ariaPressed = "false";
    this.live.stop();
    if (!source) return;
    announce("Stopped");
    byId("moment").textContent = "Stopped";
    await source.stop?.();
  }

  async #classify(file) {
    await this.stop();
    const work = this.#begin("recording", "Classifying …");
    const progress = (part) => work === this.work && this.file.progress(Math.min(1, part));
    try {
      const sound = await this.#decoded(file);
      if (work !== this.work) return;
      this.file.open(file, sound);
      const { predictions, overall, warnings } = await this.engine.predict(file, sound, progress);
      if (work !== this.work) return;
      this.file.show(predictions);
      this.answer.show(overall, "The whole recording");
      this.answer.warn(warnings);
      announce([`${file.name}: ${described(overall)}`, ...warnings].join(". "));
    } catch (error) {
      if (work === this.work) this.#fail(file, error);
    } finally {
      if (work === this.work) this.file.progress(null);
    }
  }

  /** The samples; null where this browser can't decode the file, but a server may. */
  async #decoded(file) {
    try {
      return await decode(file);
    } catch (error) {
      if (isLocal) throw error;
      return null;
    }
  }

  #fail({ name }, { message }) {
    this.answer.clear("No answer");
    this.#view("idle");
    showProblem(message.startsWith(`${name}: `) ? message : `${name}: ${message}`);
  }

  #begin(view, title) {
    byId("problem").hidden = true;
    this.file.close();
    this.answer.clear(title);
    this.#view(view);
    return ++this.work;
  }

  #view(name) {
    for (const id of ["idle", "live", "recording"]) byId(id).hidden = id !== name;
  }
}

/** Shows a text as it is: it may begin with the name of a file. */
function showProblem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = false;
}

function sentence({ message }) {
  return message[0].toUpperCase() + message.slice(1);
}

async function start() {
  const { Engine } = await import(isLocal ? "./engine/browser.js" : "./engine/server.js");
  const engine = new Engine();
  if (isLocal) navigator.serviceWorker?.register("service_worker.js"); // from the second visit on without a network
  const description = await engine.model();
  showAbout(description, isLocal);
  return new Page(engine, description);
}

start().catch((error) => {
  byId("moment").textContent = "Not available";
  showProblem(sentence(error));
});
