// The answer of the moment: the label in large letters, and a bar for each probability.

import { NO_SPEECH, UNCERTAIN } from "../engine/recognition/prediction.js";
import { percent } from "../output/segments.js";
import { colour } from "./palette.js";

const ANNOUNCED_EVERY = 5000; // ms at least between two announcements to screen readers
const byId = (id) => document.getElementById(id);

export class Answer {
  constructor(labels, threshold) {
    this.labels = labels;
    this.announcedAt = 0;
    this.announced = this.before = null;
    this.bars = new Map(labels.map((label) => [label, bar(label, colour(labels, label))]));
    byId("bars").replaceChildren(...[...this.bars.values()].map(({ item }) => item));
    byId("bars").style.setProperty("--threshold", threshold > 0 ? `${100 * threshold}%` : "");
    byId("threshold").textContent =
      threshold > 0 ? `Below the line, at ${percent(threshold)}, the answer is uncertain.` : "";
    this.clear("Ready");
  }

  /** Shows that there is no answer yet, and why. */
  clear(title) {
    byId("moment").textContent = title;
    this.#name("–", null);
    byId("detail").textContent = "";
    this.warn([]);
    for (const { item, fill, text } of this.bars.values()) {
      fill.style.width = 0;
      text.textContent = "";
      item.classList.remove("first");
    }
  }

  /** Shows a prediction under a title, like "Now". */
  show(prediction, title) {
    const { label, probabilities } = prediction;
    byId("moment").textContent = title;
    this.#name(label, prediction);
    byId("detail").textContent = detail(prediction, this.labels);
    const most = Math.max(...Object.values(probabilities));
    for (const [name, { item, fill, text }] of this.bars) {
      fill.style.width = `${100 * probabilities[name]}%`;
      text.textContent = label === NO_SPEECH ? "–" : percent(probabilities[name]);
      item.classList.toggle("first", most > 0 && probabilities[name] === most);
    }
  }

  /** Shows under the answer what is wrong with the recording. */
  warn(warnings) {
    byId("warnings").textContent = warnings.join("\n");
    byId("warnings").hidden = !warnings.length;
  }

  /** Says a live answer to screen readers: once it has lasted for two windows, and not too often. */
  announce({ label }) {
    const isSteady = label === this.before;
    this.before = label;
    if (!isSteady || label === this.announced || performance.now() - this.announcedAt < ANNOUNCED_EVERY) return;
    this.announced = label;
    this.announcedAt = performance.now();
    announce(label === NO_SPEECH ? "no speech" : label);
  }

  #name(text, prediction) {
    const element = byId("label");
    element.textContent = text === NO_SPEECH ? "no speech" : text;
    element.classList.toggle("none", prediction !== null && !this.bars.has(text));
    element.style.setProperty("--colour", this.bars.has(text) ? colour(this.labels, text) : "");
  }
}

/** Says something to screen readers, politely. */
export function announce(text) {
  byId("announcement").textContent = text;
}

function detail({ label, confidence, probabilities, speech }, labels) {
  const [first, second] = labels.map((name) => [name, probabilities[name]]).sort((a, b) => b[1] - a[1]);
  const spoken = speech === null ? "" : `speech in ${percent(speech)} of it`;
  if (label === NO_SPEECH) return spoken;
  if (label === UNCERTAIN) return `most like ${first[0]}, ${percent(first[1])}`;
  return `${percent(confidence)}, then ${second[0]} ${percent(second[1])}`;
}

function bar(label, value) {
  const item = document.createElement("li");
  item.style.setProperty("--colour", value);
  const [name, track, text] = ["name", "track", "percent"].map((kind) => {
    const part = document.createElement("span");
    part.className = kind;
    return part;
  });
  name.textContent = name.title = label;
  track.ariaHidden = "true";
  const fill = document.createElement("i");
  track.append(fill);
  item.append(name, track, text);
  return { item, fill, text };
}
