// A recording: its waveform with the emotions under it, played from where it is touched, and saved as a file.

import { save } from "../output/formats.js";
import { cells, clock, described, segments } from "../output/segments.js";
import { Roll } from "./roll.js";
import { markSegment, showSegments } from "./segment_list.js";
import { Waveform } from "./waveform.js";

const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }; // seconds
const byId = (id) => document.getElementById(id);

export class FileView {
  /** `onMoment` gets the prediction at the position that is played, and its time. */
  constructor(labels, onMoment) {
    Object.assign(this, { labels, onMoment, predictions: [], segments: [], seconds: 0 });
    this.player = byId("player");
    this.waveform = new Waveform(byId("waveform"), labels);
    this.roll = new Roll(byId("file-roll"), labels);
    this.#connect();
  }

  /** Shows a file that is about to be classified; `sound` is null where this browser can't decode it. */
  open(file, sound) {
    this.close();
    this.name = file.name;
    this.seconds = sound ? sound.channels[0].length / sound.rate : 0;
    byId("recording-title").textContent = file.name;
    byId("waveform").hidden = !sound;
    this.sound = sound;
    this.url = URL.createObjectURL(file);
    this.player.src = this.url;
    this.#setPlayable(true); // until the player finds that it can't
    this.position = 0;
    this.show([]);
    this.progress(0);
  }

  /** The part that is classified, 0 to 1; null when all is. */
  progress(part) {
    byId("progress").hidden = part === null;
    byId("progress").value = part ?? 1;
  }

  /** Shows the windows of the recording. */
  show(predictions) {
    this.predictions = predictions;
    this.cells = cells(predictions);
    this.segments = segments(this.cells);
    this.seconds ||= predictions.at(-1)?.end ?? 0;
    this.waveform.show(this.sound, this.segments, this.seconds);
    this.roll.show(this.cells, 0, this.seconds || 1, (seconds) => clock(seconds).replace(/\.0$/, ""));
    this.#showList();
    this.#move(this.position);
    for (const button of document.querySelectorAll("[data-format]")) button.disabled = !predictions.length;
    byId("seek").ariaValueMax = this.seconds.toFixed(1);
  }

  /** Stops playing, and frees the file. */
  close() {
    this.player.pause();
    this.player.removeAttribute("src");
    URL.revokeObjectURL(this.url);
  }

  #setPlayable(isPlayable) {
    this.isPlayable = isPlayable;
    byId("play").hidden = !isPlayable;
    byId("unplayable").hidden = isPlayable;
  }

  #showList() {
    const onPlay = this.isPlayable ? (start) => this.#playFrom(start) : null;
    showSegments(byId("file-segments"), this.segments, this.labels, onPlay);
  }

  #connect() {
    const { player } = this;
    player.onerror = () => {
      this.#setPlayable(false);
      this.#showList();
    };
    const seek = byId("seek");
    const follow = () => {
      this.#move(player.currentTime, true);
      if (!player.paused) requestAnimationFrame(follow);
    };
    player.onplay =
      player.onpause =
      player.onended =
        () => {
          byId("play").classList.toggle("playing", !player.paused);
          byId("play").ariaLabel = player.paused ? "Play" : "Pause";
          if (!player.paused) follow();
        };
    byId("play").onclick = () => this.#toggle();
    seek.onclick = ({ clientX }) => {
      const { left, width } = seek.getBoundingClientRect();
      this.#playFrom(((clientX - left) / width) * this.seconds);
    };
    seek.onkeydown = (event) => {
      const step = STEPS[event.key];
      if (event.key === " " || event.key === "Enter") this.#toggle();
      else if (event.key === "Home") this.#seek(0);
      else if (event.key === "End") this.#seek(this.seconds);
      else if (step) this.#seek(this.position + step);
      else return;
      event.preventDefault();
    };
    for (const button of document.querySelectorAll("[data-format]")) {
      button.onclick = () => save(this.predictions, this.labels, button.dataset.format, this.name);
    }
  }

  #toggle() {
    if (!this.isPlayable) return;
    if (this.player.paused) this.#play();
    else this.player.pause();
  }

  #playFrom(seconds) {
    this.#seek(seconds);
    if (this.isPlayable) this.#play();
  }

  #play() {
    this.player.play().catch(() => {}); // a file that can't be played comes to onerror, too
  }

  #seek(seconds) {
    const place = Math.max(0, Math.min(this.seconds, seconds));
    if (this.isPlayable) this.player.currentTime = place;
    this.#move(place, true);
  }

  #move(seconds, isShown = false) {
    this.position = seconds;
    const cell = this.cells?.findLast(({ start }) => start <= seconds);
    byId("playhead").style.left = `${this.seconds ? (100 * seconds) / this.seconds : 0}%`;
    byId("position").textContent = `${clock(seconds)} / ${clock(this.seconds)}`;
    byId("seek").ariaValueNow = seconds.toFixed(1);
    byId("seek").ariaValueText = `${clock(seconds)}${cell ? `, ${described(cell.prediction)}` : ""}`;
    markSegment(byId("file-segments"), this.segments, seconds);
    if (isShown && cell) this.onMoment(cell.prediction, seconds);
  }
}
