"""Tables in Markdown and plain text: of results, robustness, other corpora and model selection."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import classification_report

from ser_train.data.atomic import write_text
from ser_train.data.corpus_registry import CORPORA, CUSTOM
from ser_train.data.splits import SPEAKER_FOLDS
from ser_train.data.utterance import CorpusError
from ser_train.evaluation.corruptions import HOP
from ser_train.evaluation.cross_corpus import CrossCorpusResult
from ser_train.evaluation.model_selection import FoldScores
from ser_train.evaluation.robustness import RobustnessFigures
from ser_train.runs.grouping import RunGroup
from ser_train.runs.run_directory import Answers

BEGIN, END = "<!-- figures: made by make evaluate -->", "<!-- end of figures -->"
_PROTOCOL_NOTES = {
    "notebook": "train/test leakage: each file twice, and the test set stops the training",
    "utterance": "new recordings of the speakers it was trained on",
    "speaker": "**speakers it was not trained on: what to expect**",
}
_FEW_SPEAKERS = 3  # fewer say nothing about others


def caution(protocol: str, speakers: int) -> str:
    """Why figures mean little or nothing; "" where they mean something.

    >>> caution("all", 24), caution("speaker", 1), caution("speaker", 5)
    ('mean nothing: speakers that it was trained on', 'say little: of one speaker alone', '')
    """
    if protocol == "all":
        return "mean nothing: speakers that it was trained on"
    if speakers < _FEW_SPEAKERS:
        return f"say little: of {'one speaker' if speakers == 1 else f'{speakers} speakers'} alone"
    return ""


def classification_text(answers: Answers, names: Sequence[str]) -> str:
    """scikit-learn's `classification_report`: precision, recall and F1 of each label."""
    guesses = answers.probabilities.argmax(1)
    every = range(len(names))
    text: str = classification_report(
        answers.labels, guesses, labels=every, target_names=names, digits=3, zero_division=0
    )
    return text


def results_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The accuracy table of the README, from the rows of `train/results.json`: protocols side by side."""
    protocols = [p for p in _PROTOCOL_NOTES if any(row["protocol"] == p for row in rows)]
    lines = [
        "| network | " + " | ".join(f"`{p}`: WA / UAR / macro-F1, %" for p in protocols) + " |",
        "|---|" + "---|" * len(protocols),
    ]
    for network in dict.fromkeys(row["network"] for row in rows):
        cells = []
        for protocol in protocols:
            found = [r for r in rows if (r["network"], r["protocol"]) == (network, protocol)]
            cells.append(cell(found[0]) if found else "")
        lines.append(f"| `{network}` | " + " | ".join(cells) + " |")
    lines.append("| | " + " | ".join(_PROTOCOL_NOTES[p] for p in protocols) + " |")
    counted = "; ".join(f"`{p}`: {_counted([r for r in rows if r['protocol'] == p])}" for p in protocols)
    about = "; ".join(
        dict.fromkeys(f"{r['corpus']}, {r['labels']} emotions (chance {100 / r['labels']:.1f} %)" for r in rows)
    )
    lines += ["", f"Test accuracy on {about}. {counted}. Brackets: 95 % interval over actors."]
    return "\n".join(lines) + "\n"


def cell(row: Mapping[str, Any]) -> str:
    """WA, UAR and macro-F1 of a row, and WA's interval."""
    wa, uar, f1 = (row[name] for name in ("wa", "uar", "f1"))
    return f"{wa['mean']:.1f} / {uar['mean']:.1f} / {f1['mean']:.1f} ({wa['low']:.0f}-{wa['high']:.0f})"


def counts(row: Mapping[str, Any]) -> str:
    """Like "5 folds x 3 seeds"."""
    return " x ".join(f"{n} {what}{'s' * (n > 1)}" for n, what in ((row["folds"], "fold"), (row["seeds"], "seed")))


def _counted(rows: Sequence[Mapping[str, Any]]) -> str:
    """Like "5 folds x 3 seeds (`rnn`: 5 folds x 1 seed)": what most networks have, then those with other counts."""
    by_network = {row["network"]: counts(row) for row in rows}
    ((usual, _),) = Counter(by_network.values()).most_common(1)
    others = ", ".join(f"`{network}`: {count}" for network, count in by_network.items() if count != usual)
    return usual + (f" ({others})" if others else "")


def include_table(rows: Sequence[Mapping[str, Any]], page: Path) -> None:
    """Puts the results' table between the page's two markers.

    Raises:
        CorpusError: the page has no markers, or the wrong way round.
    """
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise CorpusError(f"{page}: no place for the table; it needs the lines {BEGIN} and {END}", code="page-markers")
    write_text(page, f"{before}{BEGIN}\n{results_table(rows)}{END}{after}")


def robustness_table(figures: RobustnessFigures, title: str) -> str:
    """Two tables: corrupted recordings, and live windows beside the whole recordings."""
    clean = figures.corrupted[0]
    lines = [
        f"{title}, {figures.utterances} utterances; percent.",
        "",
        "| whole recordings | WA | UAR | UAR lost |",
        "|---|---|---|---|",
        *(f"| {c.name} | {c.wa:.1f} | {c.uar:.1f} | {c.lost:.1f} |" for c in figures.corrupted),
        "",
        f"| live, every {HOP:g} s | windows | WA / UAR, each window | WA / UAR, voted over the utterance |",
        "|---|---|---|---|",
        f"| whole recording | | | {clean.wa:.1f} / {clean.uar:.1f} |",
    ]
    lines += [
        f"| windows of {live.window:g} s | {live.windows} | {live.window_wa:.1f} / {live.window_uar:.1f} "
        f"| {live.voted_wa:.1f} / {live.voted_uar:.1f} |"
        for live in figures.live
    ]
    return "\n".join(lines) + "\n"


def group_title(group: RunGroup, model: Path | None = None) -> str:
    """The network or file, the protocol, and how many runs, like "`gru`, protocol `speaker`, 5 folds x 3 seeds"."""
    folds = len(next(iter(group.seeds.values())))
    name = model.name if model else group.label
    return f"`{name}`, protocol `{group.protocol}`, {counts({'folds': folds, 'seeds': len(group.seeds)})}"


def group_caution(group: RunGroup) -> str:
    """A paragraph for figures that mean little, or nothing."""
    folds = next(iter(group.seeds.values())).values()
    speakers = {actor for run in folds for actor in run.answers.of_test().actors.tolist()}
    note = caution(group.protocol, len(speakers))
    return f"\nThese figures {note}.\n" if note else ""


def cross_corpus_table(results: Sequence[CrossCorpusResult]) -> str:
    """A row for all runs of a network trained on the same corpora, a column for each corpus tested."""
    corpora = list(dict.fromkeys(result.corpus for result in results))
    emotions = {corpus: {result.emotions for result in results if result.corpus == corpus} for corpus in corpora}
    common = {corpus: _chance(*counts) if len(counts) == 1 else "" for corpus, counts in emotions.items()}
    heads = [CORPORA.get(corpus, CUSTOM).title + common[corpus] for corpus in corpora]
    lines = ["| UAR, % | trained on | " + " | ".join(heads) + " |", "|---|---|" + "---|" * len(corpora)]
    for network, trained_on in dict.fromkeys((result.network, result.trained_on) for result in results):
        row = [r for r in results if (r.network, r.trained_on) == (network, trained_on)]
        cells = [_uar_cell([r for r in row if r.corpus == corpus], not common[corpus]) for corpus in corpora]
        lines.append(f"| `{network}` | {trained_on} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _chance(*emotions: int) -> str:
    """UAR by chance, by the number of emotions that each network may answer.

    >>> _chance(8), _chance(2, 8)
    (' (chance 12.5)', ' (chance 12.5-50.0)')
    """
    levels = [f"{100 / count:.1f}" for count in sorted({*emotions}, reverse=True)]
    return f" (chance {'-'.join(dict.fromkeys([levels[0], levels[-1]]))})"


def _uar_cell(results: Sequence[CrossCorpusResult], with_chance: bool) -> str:
    """Of one corpus: the mean of the runs, and their deviation; the level of chance where networks' levels differ."""
    if not results:
        return ""
    uars = [result.uar for result in results]
    deviation = f" ± {np.std(uars, ddof=1):.1f} ({len(uars)} runs)" if len(uars) > 1 else ""
    utterances = sorted({result.utterances for result in results})
    speakers = min(result.speakers for result in results)
    note = f" ({caution('', speakers)})" if speakers and caution("", speakers) else ""
    sizes = "-".join(map(str, dict.fromkeys([utterances[0], utterances[-1]])))
    chance = _chance(*(result.emotions for result in results)) if with_chance else ""
    return f"{np.mean(uars):.1f}{deviation}{chance}, {sizes} utterances{note}"


def selection_table(scores: Sequence[FoldScores]) -> str:
    """A row for each network and its settings, a column for each fold of `speaker`."""
    heads = " | ".join(f"for fold {fold}" for fold in range(len(SPEAKER_FOLDS)))
    lines = [f"| UAR on actors of two other folds, % | seeds | {heads} | mean |", "|---|" + "---|" * 7]
    for row in scores:
        cells = [f"{uar:.1f}" if np.isfinite(uar) else "" for uar in (*row.uar, float(np.mean(row.uar)))]
        lines.append(f"| {row.label} | {row.seeds} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def value_range(values: Sequence[float]) -> str:
    """From the lowest to the highest.

    >>> value_range([1.5, 1.2]), value_range([0.7, 0.7])
    ('1.20 to 1.50', '0.70')
    """
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"
