// A prediction, with the fields and the rounding of `ser-edge --format json`.

export const NO_SPEECH = "no-speech";
export const UNCERTAIN = "uncertain";

/** From the probability of each label, or null for no speech; times in seconds, `speech` is the speech ratio. */
export function prediction(labels, probabilities, threshold, start, end, speech) {
  const values = probabilities ?? new Float32Array(labels.length);
  const confidence = Math.max(...values);
  const likeliest = labels[values.indexOf(confidence)];
  const label = probabilities === null ? NO_SPEECH : confidence >= threshold ? likeliest : UNCERTAIN;
  return {
    path: null,
    start: rounded(start, 3),
    end: rounded(end, 3),
    label,
    confidence: rounded(confidence, 4),
    probabilities: Object.fromEntries(labels.map((name, i) => [name, rounded(values[i], 4)])),
    speech: rounded(speech, 3),
  };
}

/** As Python's round, which takes the even neighbour of a number half-way between two; of numbers of 0 or more. */
export function rounded(value, digits = 0) {
  const scaled = value * 10 ** digits;
  const isHalfWay = Number.isInteger(value * 2 ** (digits + 1)) && scaled % 1 === 0.5;
  if (isHalfWay) return (2 * Math.round(scaled / 2)) / 10 ** digits;
  return Number(value.toFixed(digits));
}
