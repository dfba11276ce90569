// The colour of each label, in the scheme that the visitor's system has.

const COLOURS = 8; // in style/base.css; more labels than that use them again, beside their names
const scheme = matchMedia("(prefers-color-scheme: dark)");

/** A CSS value for the label's colour, that follows the scheme. */
export function colour(labels, label) {
  const place = labels.indexOf(label);
  return place < 0 ? "transparent" : `var(--label-${place % COLOURS})`;
}

/** Colours for a canvas: {labels: [...], text, soft, line, track}. */
export function canvasColours(labels) {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(`--${name}`).trim();
  const named = Object.fromEntries(["text", "soft", "line", "track"].map((name) => [name, value(name)]));
  return { ...named, labels: labels.map((_, i) => value(`label-${i % COLOURS}`)) };
}

/** Calls when canvases must be drawn again: another scheme, or another size of the element. */
export function onAppearance(element, redraw) {
  scheme.addEventListener("change", redraw);
  new ResizeObserver(redraw).observe(element);
}

/** A canvas in the pixels of the screen, cleared, with a context in CSS pixels: {context, width, height}. */
export function prepared(canvas, height) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const size = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== size[0] || canvas.height !== size[1]) {
    [canvas.width, canvas.height] = size;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}
