// A timeline as a file: the JSON lines, CSV and SubRip subtitles and label tracks that ser-edge writes. Labels are in the
// model's order, which is given: JavaScript's objects put names that are whole numbers first.

import { NO_SPEECH, UNCERTAIN } from "../engine/recognition/prediction.js";
import { percent } from "./segments.js";

const LONGEST_SUBTITLE = 5000; // ms; only a single window may be longer

/** For each format a function of predictions and the model's labels that returns the text, and the file's type. */
export const FORMATS = {
  json: { type: "application/x-ndjson", write: jsonLines },
  csv: { type: "text/csv", write: csv },
  srt: { type: "application/x-subrip", write: subRip },
  "labels.txt": { type: "text/plain", write: audacityLabels },
};

/** Has the browser save the timeline of a file under the file's name. */
export function save(predictions, labels, format, name) {
  const { type, write } = FORMATS[format];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([write(predictions, labels)], { type }));
  link.download = `${name.replace(/\.[^.]*$/, "")}.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function jsonLines(predictions, labels) {
  const ordered = (probabilities) => new Map(labels.map((name) => [name, probabilities[name]]));
  const lines = predictions.map((each) => json({ ...each, probabilities: ordered(each.probabilities) }));
  return lines.map((line) => `${line}\n`).join("");
}

/** As Python's json.dumps writes it: spaces, 3.0 for a whole number, ASCII alone. */
function json(value) {
  if (typeof value === "number") return number(value);
  if (value !== null && typeof value === "object") {
    const entries = value instanceof Map ? [...value] : Object.entries(value);
    return `{${entries.map(([key, each]) => `${json(key)}: ${json(each)}`).join(", ")}}`;
  }
  const escaped = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(value).replace(/[^ -~]/g, escaped);
}

/** Seconds and ratios are floats in Python, which prints their decimal point. */
function number(value) {
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}

function csv(predictions, labels) {
  const rows = predictions.map(({ path, start, end, label, confidence, speech, probabilities }) => {
    return [path, start, end, label, confidence, speech, ...labels.map((name) => probabilities[name])];
  });
  const header = ["path", "start", "end", "label", "confidence", "speech", ...labels];
  return [header, ...rows].map((row) => `${row.map(quoted).join(",")}\n`).join("");
}

function quoted(value) {
  const text = typeof value === "number" ? number(value) : (value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function subRip(predictions) {
  const texts = cues(predictions, LONGEST_SUBTITLE).map((cue, i) => {
    return `${i + 1}\n${timecode(cue.begin)} --> ${timecode(cue.end)}\n${text(cue)}\n\n`;
  });
  return texts.join("");
}

function text({ label, confidences }) {
  const mean = confidences.reduce((a, b) => a + b) / confidences.length;
  return label === UNCERTAIN ? label : `${label} ${percent(mean)}`;
}

/** A line for each label: start, end, name, with tabs between them. */
function audacityLabels(predictions) {
  const seconds = (milliseconds) => (milliseconds / 1000).toFixed(3);
  const lines = cues(predictions, Infinity).map(
    ({ begin, end, label }) => `${seconds(begin)}\t${seconds(end)}\t${label}\n`,
  );
  return lines.join("");
}

/**
 * Equal labels in a row, up to so many milliseconds. A cue lasts from the end of the window before to the end of its
 * own; there is none where nobody speaks.
 */
function cues(predictions, longest) {
  const joined = [];
  let covered = 0;
  for (const { start, end, label, confidence } of predictions) {
    const cue = { begin: Math.max(covered, Math.round(1000 * start)), end: Math.round(1000 * end), label };
    if (cue.end <= cue.begin) continue;
    covered = cue.end;
    const last = joined.at(-1);
    if (last?.label === label && last.end === cue.begin && cue.end - last.begin <= longest) {
      last.end = cue.end;
      last.confidences.push(confidence);
    } else joined.push({ ...cue, confidences: [confidence] });
  }
  return joined.filter(({ label }) => label !== NO_SPEECH);
}

function timecode(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const clock = parts.map((part) => String(part).padStart(2, "0")).join(":");
  return `${clock},${String(milliseconds % 1000).padStart(3, "0")}`;
}
