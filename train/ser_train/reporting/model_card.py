"""The parts of a model card that depend on runs, as Markdown: emotions, speakers, confidence, robustness.

The figures are those of the page that `ser-train report` makes. A page asks for them with two marks that name a network
and a protocol: <!-- crnn by speaker: made by make evaluate --> and <!-- end of crnn by speaker -->.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ser_train.data.atomic import write_text
from ser_train.evaluation.metrics import reliability
from ser_train.reporting.statistics import ResultSummary, gather
from ser_train.reporting.tables import robustness_table, value_range
from ser_train.runs.run_directory import RunDirectory

_MARKS = re.compile(r"(<!-- ((\S[^\n]*) by (\w+)): made by make evaluate -->\n).*?(<!-- end of \2 -->)", re.DOTALL)


def include_model_cards(runs: Sequence[RunDirectory], page: Path) -> None:
    """Puts what was found of a network between the marks that name it; marks of other networks keep their content."""

    def found(marks: re.Match[str]) -> str:
        begin, _, label, protocol, end = marks.groups()
        named = [run for run in runs if (run.settings.label, run.settings.protocol) == (label, protocol)]
        return f"{begin}{card(gather(named))}{end}" if named else marks[0]

    text = page.read_text("utf-8")
    if (made := _MARKS.sub(found, text)) != text:
        write_text(page, made)


def card(summary: ResultSummary) -> str:
    """Paragraphs and tables; what wasn't measured is left out."""
    seeds = ", ± is the spread over seeds" if len(summary.seeds) > 1 else ""
    parts = [
        f"{summary.counts}; in percent{seeds}.",
        _emotions(summary),
        _speakers(summary),
        _voices(summary),
        _confidence(summary),
    ]
    if robustness := summary.robustness:
        title = f"Corruptions of the recordings, before the front-end: {summary.counts_of(robustness.seeds)}"
        parts.append(robustness_table(robustness, title))
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _emotions(summary: ResultSummary) -> str:
    rows = []
    for emotion in summary.emotions:
        figures = map(summary.format, (emotion.recall, emotion.precision))
        rows.append(
            (emotion.name, *figures, f"{emotion.top_confusion} {emotion.share:.0f}" if emotion.top_confusion else "")
        )
    return _table(("emotion", "recall", "precision", "most often confused with"), rows)


def _speakers(summary: ResultSummary) -> str:
    kinds = ((summary.sexes, ""), (summary.intensities, " intensity"))
    rows = [
        (group.name + kind, f"{group.support}", summary.format(group.wa), summary.format(group.uar))
        for groups, kind in kinds
        for group in groups
    ]
    return _table(("group", "utterances", "WA", "UAR of the emotions that both groups have"), rows) if rows else ""


def _voices(summary: ResultSummary) -> str:
    if len(summary.actors) == 1:
        (only,) = summary.actors
        return f"A single speaker, which says little about others: accuracy {only.mean:.0f} %."
    worst, *_, best = sorted(summary.actors, key=lambda actor: actor.mean)
    median = np.median([actor.mean for actor in summary.actors])
    return (
        f"Of {len(summary.actors)} speakers the lowest accuracy is {worst.mean:.0f} % (actor {worst.actor}), "
        f"the median {median:.0f} %, the highest {best.mean:.0f} % (actor {best.actor})."
    )


def _confidence(summary: ResultSummary) -> str:
    """As the exported file gives it: calibrated, with the runs' thresholds."""
    before = np.mean([reliability(answers.labels, answers.probabilities).error for answers in summary.answers])
    after = summary.calibrated_ece
    words = f"Expected calibration error: {before:.3f} uncalibrated"
    words += f", {after:.3f} calibrated." if summary.is_calibrated else "."
    if summary.at_threshold:
        answered, right = summary.at_threshold
        thresholds = value_range([run.metadata.threshold for run in summary.runs])
        words += (
            f" With the threshold {thresholds}, {answered:.0f} % of the utterances get a label, and {right:.0f} % of "
            "these labels are right; the others are `uncertain`."
        )
    return words


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows))
