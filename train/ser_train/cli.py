"""The command `ser-train`: trains networks, and makes the table of their figures."""

import argparse
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from threading import Lock, RLock
from typing import TYPE_CHECKING

from ser_edge import __version__
from ser_edge.errors import SerEdgeError
from ser_edge.native import hushed

if TYPE_CHECKING:
    from distributed import Client

    from ser_train.corpus import Utterance
    from ser_train.run import RunDirectory, Settings

__all__ = ["main"]

EPILOG = """\
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

NOTEBOOK = ["rnn", "lstm", "gru"]
COMMANDS = {"across": "across", "choose": "choose", "conditions": "conditions", "report": "page"}  # and their modules
_ALONE = Lock()  # one training at a time in a process: seeds and threads are the process's


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    _choose_tensorflow()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    name = arguments[0] if arguments else ""
    try:
        if name in COMMANDS:
            command = getattr(import_module(f"ser_train.{COMMANDS[name]}"), name)
            return int(command(arguments[1:]))
        return _evaluate(arguments) if name == "evaluate" else _fit(arguments)
    except SerEdgeError as error:
        print(f"ser-train: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # a full disk, or a folder that can't be written
        print(f"ser-train: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"ser-train: {error.name} is not installed; try: pip install 'ser-edge[train]'", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        print("ser-train: stopped; run the same command again to go on", file=sys.stderr)
        return 128 + signal.SIGINT


def _fit(arguments: Sequence[str]) -> int:
    from ser_train.networks import NETWORKS
    from ser_train.recipes import changed
    from ser_train.splits import PROTOCOLS

    parser = argparse.ArgumentParser(
        prog="ser-train",
        description="Trains emotion networks on RAVDESS speech, or on your own recordings, by a protocol you name.",
        epilog=EPILOG,
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
    if options.fold != "all" and options.fold not in map(str, range(PROTOCOLS["speaker"].folds)):
        parser.error("--fold must be 0 to 4, or all")
    if options.jobs < 1 or (options.epochs is not None and options.epochs < 1) or min(options.seed) < 0:
        parser.error("--jobs and --epochs must be 1 or more, and --seed 0 or more")

    if find_spec("tensorflow") is None:  # said now, not after the download
        raise ModuleNotFoundError(name="tensorflow")
    from ser_train.fetch import locate
    from ser_train.own import is_own

    own = any(is_own(locate(path)) for path in options.data or [])
    options.arch = options.arch or (["crnn"] if own else NOTEBOOK)
    options.protocol = options.protocol or ["speaker" if own else "notebook"]
    for network in options.arch:
        changed(NETWORKS[network].recipe, options.set)  # refuses what isn't a setting
    from ser_edge.cluster import connected  # here, so that --help needs no NumPy

    with connected(options.cluster) if options.cluster else nullcontext() as client:
        return _fit_with(options, client)


def _fit_with(options: argparse.Namespace, client: "Client | None") -> int:
    from ser_train.corpus import duplicates, read_corpora, unique
    from ser_train.fetch import locate
    from ser_train.report import caution
    from ser_train.run import Settings
    from ser_train.splits import PROTOCOLS

    folders = [locate(path, options.mirror) for path in options.data or [None]]
    if client is not None:  # its workers have working directories of their own
        folders, options.out = [folder.resolve() for folder in folders], options.out.resolve()
        options.init = str(Path(options.init).resolve()) if "/" in options.init else options.init
    utterances = read_corpora(folders)
    recordings, groups = unique(utterances), duplicates(utterances)
    counts = Counter(u.emotion for u in recordings if u.own)
    found = f"{len(utterances)} files, {len(recordings)} recordings, {len({u.speaker for u in utterances})} speakers"
    labels = ", ".join(f"{label} {count}" for label, count in sorted(counts.items()))
    print(f"{found}; labels: {labels}" if labels else found, file=sys.stderr)
    if groups:
        print(f"{len(groups)} recordings are there more than once, like {groups[0][0].path} and {groups[0][1].path}; "
              "only the notebook protocol counts any twice", file=sys.stderr)  # fmt: skip
    wanted = [
        Settings(
            network,
            protocol,
            fold,
            seed,
            options.epochs,
            tuple(options.set),
            tuple(options.teachers),
            init=options.init,
        )
        for protocol, network, seed in product(options.protocol, options.arch, options.seed)
        for fold in _folds(options.fold, PROTOCOLS[protocol].folds)
    ]
    for settings in wanted:  # refuses now what a later fold would refuse after hours
        PROTOCOLS[settings.protocol].split(utterances, settings.fold, settings.seed)
    task = partial(_fit_one, utterances=utterances, out=options.out, jobs=options.jobs)
    for run in _here(task, wanted, options.jobs) if client is None else _there(task, wanted, client):
        metrics, voices = run.read("run.json")["metrics"], len(set(run.answers.of_test().actors.tolist()))
        figures = f"WA {metrics['wa']:.1f} %, UAR {metrics['uar']:.1f} %, macro-F1 {metrics['f1']:.1f} %"
        but = caution(run.settings.protocol, voices)
        print(f"{run.path}: {figures}{f' ({but})' if but else ''}", flush=True)
    return 0


def _folds(chosen: str, count: int) -> Sequence[int]:
    return range(count) if chosen == "all" or count == 1 else [int(chosen)]


def _here(task: Callable[..., "RunDirectory"], wanted: Sequence["Settings"], jobs: int) -> Iterable["RunDirectory"]:
    """Runs in the order wanted, each as soon as it is there: trained here, by so many processes."""
    from joblib import Parallel, delayed

    return Parallel(n_jobs=jobs, return_as="generator")(delayed(task)(settings, bar=jobs == 1) for settings in wanted)


def _there(
    task: Callable[..., "RunDirectory"], wanted: Sequence["Settings"], client: "Client"
) -> Iterable["RunDirectory"]:
    """The same, trained by a cluster's workers. What a worker leaves undone another one takes up, at its checkpoint.

    Not through joblib: its Dask backend gives results only when all are there, and would spread what a training does
    in parallel over the cluster as well.
    """
    from distributed import CancelledError, KilledWorker

    workers = len(client.nthreads())
    print(f"{workers} workers" if workers else "no worker yet, waiting: dask worker", file=sys.stderr)
    for settings, future in zip(wanted, client.map(task, wanted, pure=False), strict=True):
        try:
            run = future.result()
        except KilledWorker as e:
            raise SerEdgeError(
                f"{settings.name}: several workers died of it; run the same command again to go on"
            ) from e
        except CancelledError as e:
            raise SerEdgeError("the Dask scheduler is gone; run the same command again to go on") from e
        yield run


def _fit_one(
    settings: "Settings", utterances: Sequence["Utterance"], out: Path, jobs: int, bar: bool = False
) -> "RunDirectory":
    _choose_tensorflow()
    with _ALONE:
        with hushed():
            import tensorflow as tf
        from joblib import cpu_count
        from tqdm import tqdm

        from ser_train.fit import fit

        tqdm.set_lock(RLock())  # its own is a semaphore: a process that Ctrl-C ends leaves it behind, with a warning
        threads = max(1, cpu_count() // jobs)
        with suppress(RuntimeError):  # a worker that trained before has its threads
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        return fit(settings, utterances, out, bar=bar)


def _choose_tensorflow() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors only
    os.environ["KERAS_BACKEND"] = "tensorflow"


def _evaluate(arguments: Sequence[str]) -> int:
    import json

    from ser_train.atomic import write_text
    from ser_train.card import include_cards
    from ser_train.evaluate import evaluate, include
    from ser_train.report import markdown_table
    from ser_train.run import RunDirectory

    parser = argparse.ArgumentParser(prog="ser-train evaluate", description="Makes the table of what was trained.")
    parser.add_argument("evaluate", help=argparse.SUPPRESS)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="finished run directories")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the rows there, as JSON")
    parser.add_argument(
        "--page", nargs="+", type=Path, default=[], metavar="FILE", help="put figures into pages, between their marks"
    )
    parser.add_argument(
        "--exported", type=Path, metavar="DIR", help="measure the model files ser-export made there, too"
    )
    options = parser.parse_args(arguments)
    runs = [RunDirectory(path) for path in options.runs]
    for run in runs:
        if not run.finished:
            print(f"ser-train: {run.path}: not a finished run, left out", file=sys.stderr)
    runs = [run for run in runs if run.finished]
    rows = evaluate(runs, options.exported)
    if options.out:
        write_text(options.out, json.dumps(rows, indent=1) + "\n")
    for page in options.page:
        include(rows, page)
        include_cards(runs, page)
    if not rows:
        print("ser-train: no figure: protocol all tests voices that it was trained on; give the five runs of "
              "--protocol speaker as well (five speakers or more)", file=sys.stderr)  # fmt: skip
        return 1
    print(markdown_table(rows), end="")
    return 0
