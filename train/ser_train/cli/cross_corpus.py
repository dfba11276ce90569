"""The command `ser-train cross-corpus`: accuracy on corpora that a network wasn't trained on."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ser_train.cli.console import Commands, finished_runs, print_table

if TYPE_CHECKING:
    from ser_edge.models.network import Model
    from ser_train.data.utterance import Utterance


def add_parser(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "cross-corpus",
        help="test on corpora that weren't in training",
        description="Tests networks on corpora and speakers that they weren't trained on.",
    )
    add = parser.add_argument
    add("networks", nargs="+", type=Path, metavar="RUN|FILE", help="finished run directories, .onnx or .tflite files")
    add("--data", type=Path, metavar="PATH", action="append", required=True, help="a folder; repeat it for others")
    add("--markdown", type=Path, metavar="FILE", help="write the table there as well")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the table; returns the exit code."""
    from ser_edge.models.loader import open_model
    from ser_edge.models.runtimes.base import RUNTIMES
    from ser_train.data.corpus_loader import read_corpora
    from ser_train.data.download import locate
    from ser_train.data.utterance import CorpusError
    from ser_train.evaluation.cross_corpus import score_corpora
    from ser_train.evaluation.keras_model import open_run
    from ser_train.reporting.tables import cross_corpus_table

    utterances = read_corpora([locate(path) for path in options.data])
    results = []
    model: Model
    own: frozenset[str] | None
    for path in options.networks:
        if path.suffix in RUNTIMES:
            model, name, own = open_model(path), path.name, None
        elif runs := finished_runs([path]):
            model, name, own = open_run(runs[0]), runs[0].settings.label, runs[0].own_speakers
        else:
            continue
        scored = score_corpora(model, name, utterances, own)
        if not scored:
            print(f"ser-train: {path}: {_why_nothing_counts(model, utterances, own)}, left out", file=sys.stderr)
        results += scored
    if not results:
        raise CorpusError(
            "nothing to test: no finished network, or none that wasn't trained on all of this data", code="corpus-seen"
        )
    print_table(cross_corpus_table(results), options.markdown)
    return 0


def _why_nothing_counts(model: "Model", utterances: "Sequence[Utterance]", own: "frozenset[str] | None") -> str:
    from ser_train.data.corpus_registry import CUSTOM
    from ser_train.runs.provenance import training_corpora

    if own is None and any(u.is_custom for u in utterances) and CUSTOM in training_corpora(model.metadata):
        return "trained on own recordings and doesn't say whose (give its run, of this version of ser-train)"
    return "trained on all of this data"
