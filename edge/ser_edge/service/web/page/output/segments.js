// Neighbouring windows with the same label, as one segment: {start, end, label, confidence}.

import { NO_SPEECH } from "../engine/recognition/prediction.js";

/** Joins predictions, in order. Windows overlap and segments don't: a window counts around its middle. */
export function segments(predictions) {
  const joined = [];
  predictions.forEach((prediction, i) => {
    const { label, confidence } = prediction;
    const start = i ? middle(predictions[i - 1], prediction) : prediction.start;
    const end = i + 1 < predictions.length ? middle(prediction, predictions[i + 1]) : prediction.end;
    extend(joined, { start, end, label, confidence });
  });
  return joined;
}

/** The same for a live signal, where a window counts for what it has added to the one before. */
export function liveSegments(predictions) {
  const joined = [];
  for (const { start, end, label, confidence } of predictions) {
    extend(joined, { start: Math.max(start, joined.at(-1)?.end ?? start), end, label, confidence });
  }
  return joined;
}

/** The boundary between two windows: as far from the middle of one as from the other's. */
export function middle(a, b) {
  return (a.start + a.end + b.start + b.end) / 4;
}

/** "01:05.5" */
export function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const minutes = Math.floor(tenths / 600);
  return `${String(minutes).padStart(2, "0")}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

export function percent(ratio) {
  return `${Math.round(100 * ratio)} %`;
}

/** "angry 88 %"; the confidence of `uncertain` and `no-speech` says nothing. */
export function described({ label, confidence, probabilities }) {
  return label === NO_SPEECH || !probabilities?.[label] ? label : `${label} ${percent(confidence)}`;
}

function extend(joined, segment) {
  const last = joined.at(-1);
  if (last?.label !== segment.label) {
    joined.push({ ...segment, windows: 1 });
    return;
  }
  last.end = segment.end;
  last.confidence = (last.confidence * last.windows + segment.confidence) / (last.windows + 1);
  last.windows++;
}
