// A microphone: the timeline of the last minute, which scrolls, the level, and how well the samples come.

import { clock, liveSegments } from "../output/segments.js";
import { Roll } from "./roll.js";
import { showSegments } from "./segment_list.js";

const SHOWN = 60; // seconds
const SHOWN_NARROW = 30;
const NARROW = 480; // pixels
const QUIET = -80; // dBFS, the left end of the meter
const LOUD = -3; // dBFS, from which a recording may be clipped
const LEVEL_EVERY = 500; // ms between changes of what screen readers find
const byId = (id) => document.getElementById(id);

export class LiveView {
  constructor(labels) {
    this.labels = labels;
    this.roll = new Roll(byId("live-roll"), labels);
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.levelAt = 0;
    this.clear();
  }

  clear() {
    this.cells = [];
    this.arrived = 0;
    this.level(QUIET);
    this.health({});
    showSegments(byId("live-segments"), [], this.labels);
  }

  /** Begins to scroll; `title` names the source. */
  start(title) {
    this.clear();
    this.running = true;
    byId("live-title").textContent = title;
    const step = () => {
      if (!this.running) return;
      if (!this.still.matches) this.#draw();
      requestAnimationFrame(step);
    };
    this.#draw();
    step();
  }

  stop() {
    this.running = false;
    this.#draw();
  }

  add(prediction) {
    const last = this.cells.at(-1)?.end ?? prediction.start;
    if (prediction.end < last) this.cells = []; // the device's stream began anew
    const start = Math.max(prediction.start, this.cells.length ? last : prediction.end - 0.5);
    this.cells.push({ start, end: prediction.end, prediction });
    this.cells = this.cells.filter(({ end }) => end > prediction.end - 2 * SHOWN);
    this.arrived = performance.now();
    if (this.still.matches) this.#draw();
    const recent = this.cells.filter(({ end }) => end > prediction.end - SHOWN);
    const list = liveSegments(
      recent.map(({ start, end, prediction: { label, confidence } }) => ({ start, end, label, confidence })),
    );
    showSegments(byId("live-segments"), list.reverse(), this.labels);
  }

  /** Shows the level, dBFS. */
  level(decibels) {
    const bounded = Math.max(QUIET, Math.min(0, Number.isFinite(decibels) ? decibels : QUIET));
    const text = bounded <= QUIET ? "silent" : `${Math.round(bounded)} dB`;
    const meter = byId("level");
    meter.firstElementChild.style.transform = `scaleX(${1 - bounded / QUIET})`;
    meter.classList.toggle("loud", bounded > LOUD);
    byId("level-text").textContent = text;
    if (performance.now() - this.levelAt < LEVEL_EVERY) return;
    this.levelAt = performance.now();
    meter.ariaValueNow = String(Math.round(bounded));
    meter.ariaValueText = text;
  }

  /** Shows {device, rate, lag, dropped, reconnections, listening}; lag and dropped are seconds. */
  health({ device, rate, lag = 0, dropped = 0, reconnections = 0, listening = true }) {
    const rows = [
      ["Device", device, !listening],
      ["Rate", rate && `${rate / 1000} kHz`],
      ["Lag", `${lag.toFixed(1)} s`, lag > 2],
      ["Lost", `${dropped.toFixed(1)} s`, dropped > 0],
      ["Reconnected", `${reconnections}×`, reconnections > 0],
    ];
    const shown = rows.filter(([, text]) => text).map(([name, text, isBad]) => pair(name, text, isBad));
    byId("health").replaceChildren(...shown);
  }

  #draw() {
    const shown = byId("live-roll").clientWidth < NARROW ? SHOWN_NARROW : SHOWN;
    const end = this.cells.at(-1)?.end ?? 0;
    const passed =
      this.running && this.cells.length && !this.still.matches ? (performance.now() - this.arrived) / 1000 : 0;
    const now = end + Math.min(passed, 1);
    this.roll.show(this.cells, now - shown, now, (seconds) => (seconds < 0 ? "" : clock(seconds).slice(0, 5)));
  }
}

function pair(name, text, isBad) {
  const group = document.createElement("div");
  group.classList.toggle("bad", Boolean(isBad));
  const term = Object.assign(document.createElement("dt"), { textContent: name });
  const value = Object.assign(document.createElement("dd"), { textContent: text });
  group.append(term, value);
  return group;
}
