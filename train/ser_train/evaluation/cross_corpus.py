"""The command `ser-train across`: how networks do on corpora they weren't trained on.

Other actors, other microphones, often another language: what is left of the accuracy there is the part that is about
voices, and not about one corpus. An answer is the likeliest of the emotions that the corpus has. Corpora that taught a
network are left out, and so are the voices it heard elsewhere: RAVDESS's actors speak and sing.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from sklearn.metrics import accuracy_score, recall_score

from ser_edge.models.loader import open_model
from ser_edge.models.network import Model
from ser_edge.models.runtimes.base import RUNTIMES
from ser_train.cli.robustness import KerasModel
from ser_train.data.atomic import write_text
from ser_train.data.corpus_loader import CorpusError, Utterance, labels_of, read_corpora, unique
from ser_train.data.corpus_registry import CORPORA, CUSTOM
from ser_train.data.download import locate
from ser_train.data.feature_cache import corpus_features
from ser_train.reporting.tables import caution
from ser_train.runs.provenance import seen_speakers, training_corpora
from ser_train.runs.run_directory import RunDirectory

__all__ = ["CrossCorpusResult", "across", "score_corpora"]


@dataclass(frozen=True)
class CrossCorpusResult:
    """One network's figures on one corpus, in percent."""

    network: str  # the file's name, or the run's label
    taught: str  # by which corpora
    corpus: str
    utterances: int
    emotions: int  # that the corpus has, of ours
    wa: float
    uar: float  # by chance 100 / emotions
    voices: int = field(default=0, compare=False)  # who speaks them; 0 if it isn't known


def score_corpora(model: Model, name: str, utterances: Sequence[Utterance]) -> list[CrossCorpusResult]:
    """Judges the utterances that the network hasn't heard, corpus by corpus.

    Raises:
        CorpusError: a corpus that has none of the network's labels.
    """
    figures = []
    for corpus in dict.fromkeys(u.corpus for u in utterances):
        new = _unheard(model, [u for u in utterances if u.corpus == corpus])
        if not new:
            continue
        known = labels_of(new) if corpus == CUSTOM.name else CORPORA[corpus].emotions
        places = [place for place, label in enumerate(model.metadata.labels) if label in known]
        if not places:
            raise CorpusError(f"{name}: knows {', '.join(model.metadata.labels)}; there are {', '.join(sorted(known))}")
        features = corpus_features(new, model.metadata.features)
        answers = np.concatenate([model.probabilities(features[i : i + 64]) for i in range(0, len(new), 64)])
        guesses = [model.metadata.labels[places[best]] for best in answers[:, places].argmax(axis=1)]
        spoken = [u.emotion for u in new]
        wa = 100 * float(accuracy_score(spoken, guesses))
        uar = 100 * float(recall_score(spoken, guesses, average="macro", labels=sorted(set(spoken)), zero_division=0))
        taught = ", ".join(teacher.title for teacher in training_corpora(model.metadata))
        figures.append(
            CrossCorpusResult(name, taught, corpus, len(new), len(known), wa, uar, len({u.speaker for u in new}))
        )
    return figures


def _unheard(model: Model, utterances: Sequence[Utterance]) -> list[Utterance]:
    """Of one corpus, every recording once. One's own may be anybody's: whether they were heard is for you to know."""
    if utterances[0].is_custom:
        return unique(utterances)
    if utterances[0].corpus in {corpus.name for corpus in training_corpora(model.metadata)}:
        return []
    heard = seen_speakers(model.metadata, utterances)
    return unique(u for u in utterances if u.actor not in heard)


def markdown(figures: Sequence[CrossCorpusResult]) -> str:
    """A row for all runs of a network that the same corpora taught, a column a corpus."""
    corpora = list(dict.fromkeys(figure.corpus for figure in figures))
    first = {figure.corpus: figure for figure in reversed(figures)}
    heads = [f"{CORPORA.get(c, CUSTOM).title} (chance {100 / first[c].emotions:.1f})" for c in corpora]
    lines = ["| UAR, % | taught by | " + " | ".join(heads) + " |", "|---|---|" + "---|" * len(corpora)]
    for network, taught in dict.fromkeys((figure.network, figure.taught) for figure in figures):
        row = [f for f in figures if (f.network, f.taught) == (network, taught)]
        cells = [_cell([figure for figure in row if figure.corpus == corpus]) for corpus in corpora]
        lines.append(f"| `{network}` | {taught} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(figures: Sequence[CrossCorpusResult]) -> str:
    """Of one corpus: the mean of the runs, and their spread."""
    if not figures:
        return ""
    uars = [figure.uar for figure in figures]
    spread = f" ± {np.std(uars, ddof=1):.1f} ({len(uars)} runs)" if len(uars) > 1 else ""
    counts = sorted({figure.utterances for figure in figures})
    voices = min(figure.voices for figure in figures)
    but = f" ({caution('', voices)})" if voices and caution("", voices) else ""
    return f"{np.mean(uars):.1f}{spread}, {'-'.join(map(str, dict.fromkeys([counts[0], counts[-1]])))} utterances{but}"


def across(options: argparse.Namespace) -> int:
    """The command `ser-train across`; returns the exit code."""
    utterances = read_corpora([locate(path) for path in options.data])
    figures = []
    for path in options.networks:
        run = None if path.suffix in RUNTIMES else RunDirectory(path)
        if run and not run.finished:
            print(f"ser-train: {path}: not a finished run, left out", file=sys.stderr)
            continue
        model, name = (KerasModel(run), run.settings.label) if run else (open_model(path), path.name)
        found = score_corpora(model, name, utterances)
        if not found:
            print(f"ser-train: {path}: has heard all of it, left out", file=sys.stderr)
        figures += found
    if not figures:
        raise CorpusError("nothing to judge: no finished network, or none that hasn't heard all of this")
    table = markdown(figures)
    if options.markdown:
        write_text(options.markdown, table)
    print(table, end="")
    return 0
