// Segments as a list: what the pictures show, as text, and where somebody can play it, as buttons.

import { NO_SPEECH } from "../engine/recognition/prediction.js";
import { clock, percent } from "../output/segments.js";
import { colour } from "./palette.js";

/** Fills the list; `onPlay`, if given, gets the seconds at which a chosen segment begins. */
export function showSegments(list, segments, labels, onPlay) {
  list.replaceChildren(...segments.map((segment) => item(segment, labels, onPlay)));
}

/** Marks the segment that is being played. */
export function markSegment(list, segments, seconds) {
  const place = segments.findIndex(({ start, end }) => start <= seconds && seconds < end);
  [...list.children].forEach(({ firstChild }, i) => {
    if (i === place) firstChild.setAttribute("aria-current", "true");
    else firstChild.removeAttribute("aria-current");
  });
}

function item({ start, end, label, confidence }, labels, onPlay) {
  const row = document.createElement(onPlay ? "button" : "span");
  row.className = labels.includes(label) ? "row" : "row none";
  row.style.setProperty("--colour", colour(labels, label));
  const parts = [
    ["i", "", ""],
    ["span", "clock", `${clock(start)}–${clock(end)}`],
    ["span", "name", label === NO_SPEECH ? "no speech" : label],
    ["span", "share", labels.includes(label) ? percent(confidence) : ""],
  ];
  row.append(
    ...parts.map(([kind, name, text]) =>
      Object.assign(document.createElement(kind), { className: name, textContent: text }),
    ),
  );
  if (onPlay) {
    row.type = "button";
    row.title = "Play from here";
    row.onclick = () => onPlay(start);
  }
  const element = document.createElement("li");
  element.append(row);
  return element;
}
