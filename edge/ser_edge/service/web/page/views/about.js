// What the answers are worth, and where the sound goes.

const byId = (id) => document.getElementById(id);
const CORPORA = "by 24 North-American and nine Polish speakers"; // of the bundled models

/** `description` is what the engine says of its model; `isLocal`: no server takes part. */
export function showAbout({ ser_edge: version, model, notice }, isLocal) {
  byId("worth").replaceChildren(accuracy(model, notice), origin(model), limits());
  byId("model").textContent = model.name;
  byId("model").hidden = false;
  byId("where").textContent = isLocal ? "in this browser" : "on this device";
  byId("privacy").textContent = isLocal
    ? "The sound stays in this browser: nothing is uploaded, stored or counted."
    : "The sound goes to the device that serves this page, and nowhere else.";
  byId("version").textContent = `ser-edge ${version}`;
}

function accuracy({ accuracy: measured, labels }, notice) {
  if (!measured || measured.protocol === "all") return column("Not measured", notice, true);
  const speakers = measured.protocol === "speaker" ? "speakers it was not trained on" : "speakers it was trained on";
  const rest = `protocol ${measured.protocol}, ${measured.folds} folds, UAR ${measured.uar.toFixed(1)}\u00a0%`;
  const chance = `guessing among ${labels.length} labels is right in ${(100 / labels.length).toFixed(1)}\u00a0%`;
  return column(
    `${measured.wa.toFixed(1)}\u00a0% right`,
    `on ${speakers} (${rest}); ${chance}. Noise, rooms, telephones and short windows cost accuracy.`,
  );
}

function origin({ training }) {
  const isBundled = /RAVDESS/.test(training?.data ?? "") && /nEMO/.test(training.data);
  const who = isBundled
    ? `The bundled model learned from emotions that were acted, ${CORPORA}.`
    : "Models learn from recordings that are often acted.";
  return column("Acted emotions", `${who} How people speak in earnest differs.`, true);
}

function limits() {
  const text =
    "An answer says nothing certain about what a person feels. " +
    "Don’t base any decision about a person on it: not on hiring, health, credit or guilt.";
  return column("Not for decisions about people", text, true);
}

function column(heading, text, isWords = false) {
  const element = document.createElement("div");
  const strong = Object.assign(document.createElement("strong"), {
    textContent: heading,
    className: isWords ? "words" : "",
  });
  const paragraph = Object.assign(document.createElement("p"), { textContent: text });
  element.append(strong, paragraph);
  return element;
}
