"""The command `ser-train`: trains networks, and makes the table of their figures."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from ser_edge import __version__
from ser_edge.errors import SerEdgeError
from ser_edge.native import hushed

if TYPE_CHECKING:
    from ser_train.corpus import Utterance
    from ser_train.run import RunDirectory, Settings

__all__ = ["main"]

EPILOG = """\
examples:
  ser-train --data ravdess/                          the notebook's three networks, as the notebook trained them
  ser-train                                          the same; downloads RAVDESS speech (209 MB) into the cache first
  ser-train --arch gru --protocol speaker            five trainings on unseen voices: the figure that counts
  ser-train evaluate runs/* --out results.json       the table of what was trained

A training that was stopped goes on where it was; one that is finished is not done again. Each leaves a directory
RUNS/<network>-<protocol>-..., with the network, its metrics and pictures: what ser-export takes.

protocols:
  notebook    every file twice, the test set stops the training: shows what the notebook's 93.75 % is worth
  utterance   new sentences of known voices
  speaker     five folds of unseen actors
"""

INSTALL = "pip install 'ser-edge[train]'"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors only
    os.environ["KERAS_BACKEND"] = "tensorflow"
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    command = _evaluate if arguments[:1] == ["evaluate"] else _fit
    try:
        return command(arguments)
    except SerEdgeError as error:
        print(f"ser-train: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # a full disk, or a folder that can't be written
        print(f"ser-train: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"ser-train: {error.name} is not installed; try: {INSTALL}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        print("ser-train: stopped; run the same command again to go on", file=sys.stderr)
        return 128 + signal.SIGINT


def _fit(arguments: Sequence[str]) -> int:
    from ser_train.corpus import duplicates, read_corpus, unique
    from ser_train.dataset import corpus_features
    from ser_train.fetch import locate
    from ser_train.networks import NETWORKS
    from ser_train.run import Settings
    from ser_train.splits import PROTOCOLS

    parser = argparse.ArgumentParser(
        prog="ser-train",
        description="Trains emotion networks on RAVDESS speech, by a protocol you name.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        metavar="PATH",
        help="RAVDESS: a folder or the public zip (default: download it once)",
    )
    add("--mirror", metavar="URL", help="download the zip from here instead of Zenodo")
    add("--arch", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="networks (default: all)")
    add("--protocol", nargs="+", choices=PROTOCOLS, default=["notebook"], help="default: notebook")
    add("--fold", default="all", metavar="K|all", help="a fold of the speaker protocol, 0 to 4 (default: all)")
    add("--seed", nargs="+", type=int, default=[0], metavar="N", help="one training each (default: 0)")
    add("--epochs", type=int, metavar="N", help="at most so many (default: the network's own, 30)")
    add(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="trainings at a time, with a share of the cores each (default: 1)",
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
    if options.fold != "all" and options.fold not in map(str, range(PROTOCOLS["speaker"].folds)):
        parser.error("--fold must be 0 to 4, or all")
    if options.jobs < 1 or (options.epochs is not None and options.epochs < 1) or min(options.seed) < 0:
        parser.error("--jobs and --epochs must be 1 or more, and --seed 0 or more")

    if find_spec("tensorflow") is None:  # said now, not after the download
        raise ModuleNotFoundError(name="tensorflow")
    utterances = read_corpus(locate(options.data, options.mirror))
    recordings, groups = unique(utterances), duplicates(utterances)
    print(
        f"{len(utterances)} files, {len(recordings)} recordings, {len({u.actor for u in utterances})} actors",
        file=sys.stderr,
    )
    if groups:
        print(f"{len(groups)} recordings are there more than once, like {groups[0][0].path} and {groups[0][1].path}; "
              "only the notebook protocol counts any twice", file=sys.stderr)  # fmt: skip
    wanted = [
        Settings(network, protocol, fold, seed, options.epochs)
        for protocol, network, seed in product(options.protocol, options.arch, options.seed)
        for fold in _folds(options.fold, PROTOCOLS[protocol].folds)
    ]
    for config in {NETWORKS[network].features for network in options.arch}:
        corpus_features(recordings, config)  # now, with all cores, for every training to find in the cache
    _fit_all(wanted, utterances, options.out, options.jobs)
    return 0


def _folds(chosen: str, count: int) -> Sequence[int]:
    return range(count) if chosen == "all" or count == 1 else [int(chosen)]


def _fit_all(wanted: Sequence["Settings"], utterances: Sequence["Utterance"], out: Path, jobs: int) -> None:
    from joblib import Parallel, cpu_count, delayed

    threads = max(1, cpu_count() // jobs)
    for run in Parallel(n_jobs=jobs, return_as="generator")(
        delayed(_fit_one)(settings, utterances, out, threads, jobs == 1) for settings in wanted
    ):
        metrics = run.read("run.json")["metrics"]
        print(
            f"{run.path}: WA {metrics['wa']:.1f} %, UAR {metrics['uar']:.1f} %, macro-F1 {metrics['f1']:.1f} %",
            flush=True,
        )


def _fit_one(
    settings: "Settings", utterances: Sequence["Utterance"], out: Path, threads: int, bar: bool
) -> "RunDirectory":
    with hushed():
        import tensorflow as tf
    from tqdm import tqdm

    from ser_train.fit import fit

    tqdm.set_lock(RLock())  # its own is a semaphore: a process that Ctrl-C ends leaves it behind, with a warning
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    return fit(settings, utterances, out, bar=bar)


def _evaluate(arguments: Sequence[str]) -> int:
    import json

    from ser_train.atomic import write_text
    from ser_train.evaluate import evaluate, include
    from ser_train.report import markdown_table
    from ser_train.run import RunDirectory

    parser = argparse.ArgumentParser(prog="ser-train evaluate", description="Makes the table of what was trained.")
    parser.add_argument("evaluate", help=argparse.SUPPRESS)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="finished run directories")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the rows there, as JSON")
    parser.add_argument("--page", type=Path, metavar="FILE", help="put the table into this page, between its two marks")
    options = parser.parse_args(arguments)
    runs = [RunDirectory(path) for path in options.runs]
    for run in runs:
        if not run.finished:
            print(f"ser-train: {run.path}: not a finished run, left out", file=sys.stderr)
    rows = evaluate([run for run in runs if run.finished])
    if options.out:
        write_text(options.out, json.dumps(rows, indent=1) + "\n")
    if options.page:
        include(rows, options.page)
    print(markdown_table(rows), end="")
    return 0
