"""The sections of a page, each from what some runs found; one without its data is empty, and the page leaves it out.

What is said of a figure here must be so for any network and protocol: words don't know which figures come.
"""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from ser_train.evaluation.metrics import reliability
from ser_train.evaluation.misclassified import mistakes
from ser_train.reporting.html.markup import Cell, Share, bar, said, span, table, text
from ser_train.reporting.plots import (
    plot_confusion,
    plot_coverage,
    plot_histories,
    plot_reliability,
    plot_speakers,
)
from ser_train.reporting.statistics import Group, ResultSummary, Spread
from ser_train.reporting.tables import caution, cell

__all__ = ["PROTOCOL_MEANINGS", "SECTIONS", "Row", "Subject", "Tables", "headline"]

PROTOCOL_MEANINGS = {
    "notebook": "Every file is there twice, and the test stops the training: this is memory, not accuracy.",
    "utterance": "New sentences, but of voices it was trained on: a new user gets less.",
    "speaker": "Voices that were never heard in training: this is what a new user gets.",
    "inner": "Voices that were never heard, but fewer trained it: for choosing settings, not for quoting.",
    "all": "Voices that were trained on, as all were: these figures mean nothing.",
}
_MISTAKES = 50  # recordings in the list of them, at most
_SCALE = 1.4  # pixels of a picture for one of the page: crisp on dense screens, and letters of 12 pixels

Row = dict[str, Any]


@dataclass(frozen=True)
class Tables:
    """What other commands measured; empty where they didn't."""

    results: Sequence[Row] = ()  # of `ser-train evaluate`
    exported: Sequence[Row] = ()  # of `ser-export`
    benchmarks: Sequence[Row] = ()  # of `make bench`


@dataclass(frozen=True)
class Subject:
    """What a page is about, and where it goes."""

    summary: ResultSummary
    tables: Tables
    page: Path  # pictures go beside it, named after it

    @property
    def title(self) -> str:
        """Of the page and its pictures."""
        return f"{self.summary.settings.label} (protocol: {self.summary.settings.protocol})"

    def picture(self, name: str, alt: str, draw: Callable[[Path], None]) -> str:
        """A PNG beside the page, and the same inside it."""
        path = self.page.with_name(f"{self.page.stem}-{name}.png")
        draw(path)
        data = path.read_bytes()
        width, height = (int.from_bytes(data[at : at + 4]) / _SCALE for at in (16, 20))  # of the PNG's first chunk
        source = f"data:image/png;base64,{b64encode(data).decode()}"
        return f'<img alt="{escape(alt)}" width="{width:.0f}" height="{height:.0f}" src="{source}">\n'

    def share(self, figure: Spread) -> Share:
        """The same with a bar behind."""
        return Share(figure.mean, self.summary.format(figure))


def headline(subject: Subject) -> str:
    """What the page begins with."""
    summary, settings = subject.summary, subject.summary.settings
    answers, actors = len(summary.answers[0].labels), len(summary.actors)
    but = caution(settings.protocol, actors)
    tiles = []
    for metric, name in (("wa", "right (WA)"), ("uar", "mean recall (UAR)"), ("f1", "macro-F1")):
        figure = summary.headline[metric]
        interval = f"<span>95 % interval {figure.low:.1f} to {figure.high:.1f}</span>"
        tiles.append(
            f"<div><strong>{summary.format(Spread(figure.mean, figure.std))}<small> %</small></strong>"
            f"<span>{name}</span>{'' if but else interval}</div>\n"
        )
    words = f"{summary.counts}: {answers} answers about {actors} voices. Chance is {summary.chance:.1f} %. "
    words += f"These figures {but}" if but else "The intervals are over actors"
    words += ", ± is the spread over seeds." if len(summary.seeds) > 1 else "."
    return (
        f"<h1>{escape(settings.label)} <small>protocol: {escape(settings.protocol)}</small></h1>\n"
        f'<p class="meaning">{PROTOCOL_MEANINGS[settings.protocol]}</p>\n'
        f'<div class="tiles">\n{"".join(tiles)}</div>\n{text(words)}'
    )


def _protocols(subject: Subject) -> str:
    rows = [row for row in subject.tables.results if row["format"] == "keras"]
    protocols = [p for p in PROTOCOL_MEANINGS if any(row["protocol"] == p for row in rows)]
    if not rows:
        return ""
    by_place = {(row["network"], row["protocol"]): cell(row).replace(" (", "\n(") for row in rows}
    body = [
        (network, *(by_place.get((network, protocol), "") for protocol in protocols))
        for network in dict.fromkeys(row["network"] for row in rows)
    ]
    heads = (f"{protocol}: {PROTOCOL_MEANINGS[protocol].partition(':')[0].lower()}" for protocol in protocols)
    return text("WA / UAR / macro-F1 in percent, and the 95 % interval of WA.") + table(
        ("network", *heads), body, mark=subject.summary.settings.label
    )


def _confusions(subject: Subject) -> str:
    summary = subject.summary
    everything = summary.pooled_answers
    body: list[Sequence[Cell]] = [
        (
            emotion.name,
            f"{emotion.support}",
            *map(subject.share, (emotion.recall, emotion.precision, emotion.f1)),
            f"{emotion.top_confusion} {emotion.share:.0f} %" if emotion.top_confusion else "",
        )
        for emotion in summary.emotions
    ]
    return (
        subject.picture(
            "confusion",
            "Confusion matrix",
            lambda path: plot_confusion(everything, summary.labels, subject.title, path),
        )
        + text("Recall: how often it is heard when it is spoken. Precision: how often it is spoken when it is heard.")
        + table(("emotion", "spoken", "recall, %", "precision, %", "F1, %", "else mostly heard as"), body)
    )


def _mistakes(subject: Subject) -> str:
    summary = subject.summary
    found = mistakes(summary.calibrated_answers, summary.labels)
    if not found:
        return ""
    recordings = len({name for answers in summary.answers for name in answers.names.tolist()})
    words = f"{len(found)} of {recordings} recordings are classified wrongly"
    words += f"; these {_MISTAKES} with the most confidence." if len(found) > _MISTAKES else ", the surest first."
    several = any(mistake.answers > 1 for mistake in found)  # seeds, or `notebook`, which has each recording twice
    body: list[Sequence[Cell]] = [
        (m.name, m.label, m.predicted, bar(100 * m.confidence), *[f"{m.wrong}/{m.answers}"] * several)
        for m in found[:_MISTAKES]
    ]
    return text(words) + table(("recording", "is", "predicted", "confidence, %", *["wrong"] * several), body)


def _voices(subject: Subject) -> str:
    summary = subject.summary
    mean = summary.headline["wa"].mean
    return (
        subject.picture(
            "actors",
            "Accuracy of each actor, the best first",
            lambda path: plot_speakers(summary.actors, mean, summary.chance, subject.title, path),
        )
        + _groups(subject, "sex", summary.sexes)
        + _groups(subject, "intensity", summary.intensities, "UAR without neutral, %")
    )


def _groups(subject: Subject, head: str, groups: Sequence[Group], uar: str = "UAR, %") -> str:
    if not groups:
        return ""
    body = [(group.name, f"{group.support}", subject.share(group.wa), subject.share(group.uar)) for group in groups]
    return table((head, "spoken", "WA, %", uar), body)


def _sureness(subject: Subject) -> str:
    summary = subject.summary
    raw, served = summary.pooled_answers, summary.pooled_calibrated_answers
    before, after = summary.headline["ece"].mean, summary.calibrated_ece
    binned = {f"network, error {before:.3f}": reliability(raw.labels, raw.probabilities)}
    words = f"Expected calibration error: {before:.3f}"
    if summary.is_calibrated:
        binned[f"as served, error {after:.3f}"] = reliability(served.labels, served.probabilities)
        temperatures = span([run.metadata.temperature for run in summary.runs])
        words += f" as the network answers, {after:.3f} as it is served, with temperature {temperatures}"
    chosen, given = summary.at_threshold, "How many answers are right, if only the surest are given."
    if chosen:
        thresholds = span([run.metadata.threshold for run in summary.runs])
        given += (
            f" With the threshold {thresholds} it answers {chosen[0]:.0f} % of the time, and {chosen[1]:.0f} % of "
            "these answers are right; else it says that it is uncertain."
        )
    return (
        text(f"{words}. On the dotted line, who is 70 % sure is right 70 times of 100; below it, less often.")
        + subject.picture(
            "reliability",
            "How often answers are right, by how sure they are",
            lambda path: plot_reliability(binned, subject.title, path),
        )
        + text(given)
        + subject.picture(
            "coverage",
            "How many answers are right, by how many are given",
            lambda path: plot_coverage(served, chosen, subject.title, path),
        )
    )


def _reality(subject: Subject) -> str:
    figures = subject.summary.conditions
    if figures is None:
        return ""
    whole = [(c.name, bar(c.wa), bar(c.uar), f"{c.lost:.1f}") for c in figures.conditions]
    live: list[Sequence[Cell]] = [
        (
            f"{part.window:g} s, every {part.hop:g} s",
            f"{part.windows}",
            *map(bar, (part.window_wa, part.window_uar, part.voted_wa, part.voted_uar)),
        )
        for part in figures.live
    ]
    return (
        text(f"The {figures.utterances} utterances of the test, damaged as sounds before the network hears them.")
        + table(("whole recordings", "WA, %", "UAR, %", "UAR lost, points"), whole)
        + text("Live, it hears windows: here each by itself, and the mean of an utterance's windows.")
        + table(("live windows", "windows", "each: WA, %", "UAR, %", "together: WA, %", "UAR, %"), live)
    )


def _learning(subject: Subject) -> str:
    curves = subject.summary.curves
    if not curves:
        return ""
    words = "The weights of the epoch with the best validation accuracy were taken."
    if not any("val_loss" in curve.history[0] for curve in curves):
        words = "Nothing is held out to stop the training: it goes on for its number of epochs."
    return text(words) + subject.picture(
        "curves", "Loss and accuracy of each epoch", lambda path: plot_histories(curves, subject.title, path)
    )


def _cost(subject: Subject) -> str:
    settings, tables = subject.summary.settings, subject.tables
    of_network = [row for row in tables.exported if row["network"] == settings.network]
    proven = [row for row in of_network if row["bytes"] is not None]
    asked = [r for r in tables.results if (r["network"], r["protocol"]) == (settings.label, settings.protocol)]
    parts = []
    if any(row["format"] != "keras" for row in asked):
        body = [(f"{r['format']} {r['precision']}", f"{r['bytes'] / 1024:.0f}", cell(r)) for r in asked]
        parts.append(table(("file", "KiB", "WA / UAR / macro-F1, %, in the runtime that serves it"), body))
    if proven:
        words = (
            f"Proven against Keras; UAR of the {proven[0]['utterances']} utterances that were asked about, so not the "
        )
        words += "headline's. CPU time of an inference: float32 ONNX is 1."
        head = ("file", "KiB", "differs by", "labels changed", "UAR (Keras's), %", "CPU", "times less than Keras")
        parts.append(text(words) + table(head, map(_proven, proven)))
    if missing := [f"{r['format']} {r['precision']} ({r['status']})" for r in of_network if r["bytes"] is None]:
        parts.append(text(f"Not made: {'; '.join(missing)}."))
    if tables.benchmarks:
        what = [(r["what"].replace("`", ""), r["theirs"], r["ours"], f"{r['ratio']:.1f}") for r in tables.benchmarks]
        parts.append(table(("the program", "the other way", "ser-edge", "times less"), what))
    return "".join(parts)


def _proven(row: Row) -> Sequence[str]:
    cpu, keras = row["relative_cpu"], row["relative_cpu_keras"]
    return (
        f"{row['format']} {row['precision']}",
        f"{row['bytes'] / 1024:.0f}",
        f"{row['max_difference']:.1e}",
        f"{row['labels_changed']} of {row['inputs']}",
        f"{row['uar']:.1f} ({row['uar_keras']:.1f})",
        f"{cpu:.2f}" if cpu else "",
        f"{1 / keras:.0f}" if keras else "",
    )


def _provenance(subject: Subject) -> str:
    summary, settings = subject.summary, subject.summary.settings
    facts = summary.runs[0].facts
    known = {
        "data": sorted({str(run.metadata.training.get("data", "not told")) for run in summary.runs}),
        "runs": [run.path.name for run in summary.runs],
        "changed settings": settings.changes,
        "teachers": settings.teachers,
        "initial network": settings.init,
        "recipe": facts.get("recipe"),
        "front-end": asdict(summary.runs[0].metadata.features),
        "parameters": facts.get("parameters"),
        "epochs trained": sorted({run.facts["epochs"] for run in summary.runs if "epochs" in run.facts}),
        "utterances of the first run": facts.get("utterances"),
        "digests of recipe and recordings": [settings.recipe, *sorted({run.settings.corpus for run in summary.runs})],
        "versions": facts.get("versions"),
    }
    told = {name: said(value) for name, value in known.items()}
    items = "".join(f"<dt>{name}</dt><dd>{escape(words)}</dd>\n" for name, words in told.items() if words)
    why = "Labels are what somebody took a voice for" if summary.own else "The emotions were acted"
    return f"<dl>\n{items}</dl>\n" + text(
        f"{why}: this says little of what a person feels, and is no ground for decisions about people."
    )


SECTIONS: dict[str, Callable[[Subject], str]] = {
    "All networks": _protocols,
    "Emotions": _confusions,
    "Mistakes": _mistakes,
    "Voices": _voices,
    "Confidence": _sureness,
    "Real conditions": _reality,
    "Training": _learning,
    "Size and speed": _cost,
    "Origin": _provenance,
}
