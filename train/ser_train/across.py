"""The command `ser-train across`: how networks do on corpora they weren't trained on.

Other actors, other microphones, often another language: what is left of the accuracy there is the part that is about
voices, and not about one corpus. An answer is the likeliest of the emotions that the corpus has.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import accuracy_score, recall_score

from ser_edge.model import Model
from ser_edge.runtimes import RUNTIMES
from ser_train.atomic import write_text
from ser_train.conditions import KerasModel
from ser_train.corpora import CORPORA, OWN
from ser_train.corpus import CorpusError, Utterance, labels_of, read_corpora, unique
from ser_train.dataset import corpus_features
from ser_train.fetch import locate
from ser_train.run import RunDirectory

__all__ = ["Abroad", "abroad", "across"]


@dataclass(frozen=True)
class Abroad:
    """One network's figures on one corpus, in percent."""

    network: str  # the file or the run
    corpus: str
    utterances: int
    emotions: int  # that the corpus has, of ours
    wa: float
    uar: float  # by chance 100 / emotions


def abroad(model: Model, name: str, utterances: Sequence[Utterance]) -> list[Abroad]:
    """Judges all utterances, corpus by corpus.

    Raises:
        CorpusError: a corpus that has none of the network's labels.
    """
    figures = []
    for corpus in dict.fromkeys(u.corpus for u in utterances):
        heard = unique(u for u in utterances if u.corpus == corpus)
        known = labels_of(heard) if corpus == OWN.name else CORPORA[corpus].emotions
        places = [place for place, label in enumerate(model.description.labels) if label in known]
        if not places:
            raise CorpusError(
                f"{name}: knows {', '.join(model.description.labels)}; there are {', '.join(sorted(known))}"
            )
        features = corpus_features(heard, model.description.features)
        answers = np.concatenate([model.probabilities(features[i : i + 64]) for i in range(0, len(heard), 64)])
        guesses = [model.description.labels[places[best]] for best in answers[:, places].argmax(axis=1)]
        spoken = [u.emotion for u in heard]
        wa = 100 * float(accuracy_score(spoken, guesses))
        uar = 100 * float(recall_score(spoken, guesses, average="macro", labels=sorted(set(spoken)), zero_division=0))
        figures.append(Abroad(name, corpus, len(heard), len(known), wa, uar))
    return figures


def markdown(figures: Sequence[Abroad]) -> str:
    """A row a network, a column a corpus."""
    corpora = list(dict.fromkeys(figure.corpus for figure in figures))
    first = {figure.corpus: figure for figure in reversed(figures)}
    heads = [
        f"{CORPORA.get(c, OWN).title} ({first[c].utterances} utterances, chance {100 / first[c].emotions:.1f})"
        for c in corpora
    ]
    lines = ["| UAR, % | " + " | ".join(heads) + " |", "|---|" + "---|" * len(corpora)]
    for network in dict.fromkeys(figure.network for figure in figures):
        found = {figure.corpus: f"{figure.uar:.1f}" for figure in figures if figure.network == network}
        lines.append(f"| `{network}` | " + " | ".join(found.get(corpus, "") for corpus in corpora) + " |")
    return "\n".join(lines) + "\n"


def across(arguments: Sequence[str]) -> int:
    """The command `ser-train across`; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="ser-train across",
        description="Judges networks on corpora they weren't trained on (whether they were is for you to know).",
    )
    add = parser.add_argument
    add("networks", nargs="+", type=Path, metavar="RUN|FILE", help="finished run directories, .onnx or .tflite files")
    add("--data", type=Path, metavar="PATH", action="append", required=True, help="a folder; give it again for others")
    add("--markdown", type=Path, metavar="FILE", help="write the table there as well")
    options = parser.parse_args(arguments)
    utterances = read_corpora([locate(path) for path in options.data])
    figures = []
    for path in options.networks:
        if path.suffix not in RUNTIMES and not RunDirectory(path).finished:
            print(f"ser-train: {path}: not a finished run, left out", file=sys.stderr)
            continue
        model = Model(path) if path.suffix in RUNTIMES else KerasModel(RunDirectory(path))
        figures += abroad(model, path.name, utterances)
    table = markdown(figures)
    if options.markdown:
        write_text(options.markdown, table)
    print(table, end="")
    return 0
