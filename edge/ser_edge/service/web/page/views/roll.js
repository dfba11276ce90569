// The timeline: a row for each label, in which a window is the stronger the likelier the label is; the answer itself is
// full. A last row is hatched where the answer is `uncertain`, and dotted where nobody speaks.

import { NO_SPEECH, UNCERTAIN } from "../engine/recognition/prediction.js";
import { canvasColours, onAppearance, prepared } from "./palette.js";

const GAP = 2; // pixels between rows
const FONT = "11px system-ui, sans-serif";

export class Roll {
  /** Draws into the canvas, and names the rows in the list beside it. */
  constructor(canvas, labels) {
    Object.assign(this, { canvas, labels, cells: [], from: 0, to: 1, clock: () => "" });
    const names = [...labels, "no answer"].map((name) =>
      Object.assign(document.createElement("li"), { textContent: name }),
    );
    names.at(-1).title = "hatched: uncertain; dotted: no speech";
    canvas
      .closest(".chart")
      .querySelector(".rows")
      .replaceChildren(...names);
    onAppearance(canvas, () => this.draw());
  }

  /** `cells` are {start, end, prediction}, in order; shows seconds `from` to `to`; `clock` names a time on the axis. */
  show(cells, from, to, clock) {
    Object.assign(this, { cells, from, to, clock });
    this.draw();
  }

  draw() {
    const style = getComputedStyle(this.canvas);
    const [row, axis] = ["--row", "--axis"].map((name) => Number.parseFloat(style.getPropertyValue(name)));
    this.row = row;
    const { context, width, height } = prepared(this.canvas, (this.labels.length + 1) * row + axis);
    if (!width) return;
    const colours = canvasColours(this.labels);
    const ratio = devicePixelRatio || 1; // whole pixels of the screen, so that no seam is left between neighbours
    const x = (seconds) => Math.round(((seconds - this.from) / (this.to - this.from)) * width * ratio) / ratio;
    context.font = FONT;
    this.#drawRows(context, width, colours);
    for (const { start, end, prediction } of this.cells) {
      if (end > this.from && start < this.to) {
        const left = Math.max(0, x(start));
        this.#drawCell(context, left, Math.max(1, Math.min(width, x(end)) - left), prediction, colours);
      }
    }
    this.#drawAxis(context, width, height, x, colours);
  }

  #drawRows(context, width, colours) {
    context.fillStyle = colours.track;
    context.globalAlpha = 0.55;
    for (let row = 0; row <= this.labels.length; row++) context.fillRect(0, row * this.row, width, this.row - GAP);
    context.globalAlpha = 1;
  }

  #drawCell(context, left, width, prediction, colours) {
    this.labels.forEach((label, row) => {
      const isAnswer = prediction.label === label;
      context.globalAlpha = isAnswer ? 1 : 0.75 * prediction.probabilities[label] ** 1.2;
      context.fillStyle = colours.labels[row];
      context.fillRect(left, row * this.row, width, this.row - GAP);
    });
    context.globalAlpha = 1;
    const top = this.labels.length * this.row;
    context.fillStyle = context.strokeStyle = colours.soft;
    if (prediction.label === UNCERTAIN) hatch(context, left, top, width, this.row - GAP);
    if (prediction.label === NO_SPEECH) dots(context, left, top + (this.row - GAP) / 2, width);
  }

  #drawAxis(context, width, height, x, colours) {
    const wanted = (this.to - this.from) / Math.max(2, width / 90);
    const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].find((each) => each >= wanted) ?? 7200;
    context.fillStyle = colours.soft;
    context.textBaseline = "alphabetic";
    for (let time = Math.ceil(this.from / step) * step; time <= this.to; time += step) {
      const name = this.clock(time);
      const size = context.measureText(name).width;
      context.fillText(name, Math.min(Math.max(0, x(time) - size / 2), width - size), height - 4);
    }
  }
}

function hatch(context, left, top, width, height) {
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.beginPath();
  // From multiples of the distance, so that the lines of neighbouring cells meet.
  for (let x = Math.floor((left - height) / 5) * 5; x < left + width; x += 5) {
    context.moveTo(x, top + height);
    context.lineTo(x + height, top);
  }
  context.lineWidth = 1.2;
  context.stroke();
  context.restore();
}

function dots(context, left, middle, width) {
  for (let x = Math.ceil(left / 8) * 8; x < left + width; x += 8) context.fillRect(x, middle - 1, 2, 2);
}
