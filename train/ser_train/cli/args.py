"""What can be typed after `ser-train`: a parser for each command.

A command line is read before anything heavy is imported, so that `--help` and what is said of a wrong call need neither
TensorFlow nor scikit-learn. The names that other modules' tables have are therefore written out here; a test compares
them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ser_edge import __version__
from ser_edge.cli.argument_parser import ArgumentParser

__all__ = [
    "FOLDS",
    "NETWORKS",
    "PROTOCOLS",
    "TABLES",
    "parse_cross_corpus",
    "parse_evaluate",
    "parse_report",
    "parse_robustness",
    "parse_select",
    "parse_train",
]

NETWORKS = ("rnn", "lstm", "gru", "crnn")  # networks.NETWORKS
PROTOCOLS = ("notebook", "utterance", "speaker", "inner", "all")  # splits.PROTOCOLS
FOLDS = 5  # of the speaker protocol: splits.SPEAKER_FOLDS
TABLES = {  # figures that a report shows as well, by option, and where `make` puts them
    "results": "train/results.json",
    "exported": "export/results.json",
    "benchmarks": "tests/benchmarks/results.json",
}

_EPILOG = """\
examples:
  ser-train --data ravdess/                          the notebook's three networks, as the notebook trained them
  ser-train                                          the same; downloads RAVDESS speech (209 MB) into the cache first
  ser-train --arch gru --protocol speaker            five trainings on unseen voices: the figure that counts
  ser-train --arch crnn --protocol speaker --data ravdess/ --data ravdess_song/ --data nemo/
                                                     the network we ship, with other corpora to learn from
  ser-train evaluate runs/* --out results.json       the table of what was trained
  ser-train --data recordings/ --init crnn --set epochs=40 learning_rate=0.0005
                                                     your own recordings and labels; begins as the bundled network
  ser-train conditions RUN --data ravdess/           noise, telephone, rooms, and live windows
  ser-train across RUN --data nemo/                  other corpora than it was trained on
  ser-train report RUN                               a page with pictures

A training that was stopped goes on where it was; one that is finished is not done again. Each leaves a directory
RUNS/<network>-<protocol>-..., with the network, its metrics and pictures: what ser-export takes.

your own recordings, with any labels, alone:
  recordings/LABEL/SPEAKER/*.wav                     folders; or a table with the columns path,label,speaker (.csv,
  recordings.csv                                     .tsv, .txt): paths in it are relative to the file
  Five speakers or more: a network is tested on voices that it never heard. So they train by two protocols, speaker
  (their default) for the figure, and all for the network to use. docs/own-data.md goes through it step by step.

protocols:
  notebook    every file twice, the test set stops the training: shows what the notebook's 93.75 % is worth
  utterance   new sentences of known voices
  speaker     five folds of unseen actors, or of your own speakers
  inner       for choosing settings: leaves out two folds, so that one of them can judge and the other stays unseen
  all         every actor trains: the network to ship; its own figure means nothing
"""


def parse_train(arguments: Sequence[str]) -> argparse.Namespace:
    """Of a training: `ser-train` without a command."""
    parser = ArgumentParser(
        prog="ser-train",
        description="Trains emotion networks on RAVDESS speech, or on your own recordings, by a protocol you name.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        metavar="PATH",
        action="append",
        help="RAVDESS: a folder or the public zip (default: download it once); give it again for other corpora, which "
        "networks like crnn learn from as well: RAVDESS song, nEMO, CREMA-D, TESS, SAVEE, EMO-DB. Or your own "
        "recordings: a folder, or a table (CSV)",
    )
    add("--mirror", metavar="URL", help="download the zip from here instead of Zenodo")
    add("--arch", nargs="+", choices=NETWORKS, help="networks (default: the notebook's; for your own, crnn)")
    add("--protocol", nargs="+", choices=PROTOCOLS, help="default: notebook; for your own, speaker")
    add(
        "--init",
        default="",
        metavar="RUN|NAME",
        help="begin as this network instead of at random: a finished run (with * for the fold), an .onnx file, or the "
        "bundled one, crnn; labels that it doesn't have are new",
    )
    add("--fold", default="all", metavar="K|all", help="a fold of the speaker protocol, 0 to 4 (default: all)")
    add("--seed", nargs="+", type=int, default=[0], metavar="N", help="one training each (default: 0)")
    add("--epochs", type=int, metavar="N", help="at most so many (default: the network's own)")
    add("--set", nargs="+", default=[], metavar="NAME=VALUE", help="change the recipe, like mixup=0.2; names the run")
    add(
        "--teachers",
        nargs="+",
        default=[],
        metavar="NAME",
        help="finished runs in RUNS to learn from, with * for the fold: 'crnn-speaker-fold*-seed1'",
    )
    add(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="trainings at a time, with a share of the cores each (default: 1)",
    )
    add(
        "--cluster",
        metavar="ADDRESS",
        help="train on a Dask cluster, like tcp://host:8786, whose workers (dask worker --nthreads 1) see the same "
        "folders and have ser-edge[cluster,train]",
    )
    add(
        "--out",
        type=Path,
        default=Path("runs"),
        metavar="RUNS",
        help="where run directories go (default: %(default)s)",
    )
    add("--version", action="version", version=f"ser-train {__version__}")
    options = parser.parse_args(arguments)
    if options.fold != "all" and options.fold not in map(str, range(FOLDS)):
        parser.error(f"--fold must be 0 to {FOLDS - 1}, or all")
    if options.jobs < 1 or (options.epochs is not None and options.epochs < 1) or min(options.seed) < 0:
        parser.error("--jobs and --epochs must be 1 or more, and --seed 0 or more")
    return options


def parse_evaluate(arguments: Sequence[str]) -> argparse.Namespace:
    """Of `ser-train evaluate`."""
    parser = ArgumentParser(prog="ser-train evaluate", description="Makes the table of what was trained.")
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="finished run directories")
    add("--out", type=Path, metavar="FILE", help="write the rows there, as JSON")
    add("--page", nargs="+", type=Path, default=[], metavar="FILE", help="put figures into pages, between their marks")
    add("--exported", type=Path, metavar="DIR", help="measure the model files ser-export made there, too")
    return parser.parse_args(arguments)


def parse_cross_corpus(arguments: Sequence[str]) -> argparse.Namespace:
    """Of `ser-train across`."""
    parser = ArgumentParser(
        prog="ser-train across",
        description="Judges networks on corpora that didn't teach them, and voices that they didn't hear.",
    )
    add = parser.add_argument
    add("networks", nargs="+", type=Path, metavar="RUN|FILE", help="finished run directories, .onnx or .tflite files")
    add("--data", type=Path, metavar="PATH", action="append", required=True, help="a folder; give it again for others")
    add("--markdown", type=Path, metavar="FILE", help="write the table there as well")
    return parser.parse_args(arguments)


def parse_select(arguments: Sequence[str]) -> argparse.Namespace:
    """Of `ser-train choose`."""
    parser = ArgumentParser(
        prog="ser-train choose",
        description="Compares settings for each fold of `speaker` by runs of `inner`, without touching it.",
    )
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="finished runs of `inner`; others are left out")
    add("--markdown", type=Path, metavar="FILE", help="write the table there as well")
    return parser.parse_args(arguments)


def parse_robustness(arguments: Sequence[str]) -> argparse.Namespace:
    """Of `ser-train conditions`."""
    parser = ArgumentParser(
        prog="ser-train conditions",
        description="Measures trained networks under noise, gain, codecs and reverberation, and live.",
    )
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="finished run directories of one network")
    add(
        "--data", type=Path, metavar="PATH", help="what they were trained on (default: RAVDESS speech, downloaded once)"
    )
    add("--jobs", type=int, default=-1, metavar="N", help="processes that make features (default: one a core)")
    add("--model", type=Path, metavar="FILE", help="ask this .onnx or .tflite, exported from the one RUN given")
    add("--markdown", type=Path, metavar="FILE", help="write the table there as well")
    options = parser.parse_args(arguments)
    if options.model and len(options.runs) > 1:
        parser.error("--model is exported from one run; give that RUN alone")
    if options.jobs == 0:
        parser.error("--jobs must be 1 or more, or -1 for one a core")
    return options


def parse_report(arguments: Sequence[str]) -> argparse.Namespace:
    """Of `ser-train report`."""
    parser = ArgumentParser(
        prog="ser-train report",
        description="Makes one HTML page of a network's figures and pictures: of a run, or of several folds and seeds.",
    )
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="finished run directories of one network and protocol")
    add("--out", type=Path, metavar="FILE", help="the page (default: NETWORK-PROTOCOL.html here)")
    for name, default in TABLES.items():
        add(
            f"--{name}", type=Path, metavar="FILE", help=f"figures to show as well (default: {default}, if it is there)"
        )
    return parser.parse_args(arguments)
