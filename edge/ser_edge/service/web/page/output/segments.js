// Neighbouring windows with the same label, as one segment: {start, end, label, confidence}.

import { NO_SPEECH, rounded } from "../engine/recognition/prediction.js";

/** {start, end, prediction} of predictions, in order. Windows overlap and cells don't: each is around its middle. */
export function cells(predictions) {
  return predictions.map((prediction, i) => ({
    start: i ? middle(predictions[i - 1], prediction) : prediction.start,
    end: i + 1 < predictions.length ? middle(prediction, predictions[i + 1]) : prediction.end,
    prediction,
  }));
}

/** Joins cells. */
export function segments(cells) {
  const joined = [];
  for (const { start, end, prediction } of cells) {
    extend(joined, { start, end, label: prediction.label, confidence: prediction.confidence });
  }
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
function middle(a, b) {
  return (a.start + a.end + b.start + b.end) / 4;
}

/** "01:05.5" */
export function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const minutes = Math.floor(tenths / 600);
  return `${String(minutes).padStart(2, "0")}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

export function percent(ratio) {
  return `${rounded(100 * ratio)} %`;
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
