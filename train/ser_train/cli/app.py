"""The command `ser-train`: trains networks, and makes the table of their figures."""

import argparse
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from threading import Lock, RLock
from typing import TYPE_CHECKING

from ser_edge.errors import SerEdgeError
from ser_edge.errors.install_hints import install_extra
from ser_train.cli.args import (
    parse_cross_corpus,
    parse_evaluate,
    parse_report,
    parse_robustness,
    parse_select,
    parse_train,
)

if TYPE_CHECKING:
    from distributed import Client

    from ser_train.data.corpus_loader import Utterance
    from ser_train.runs.run_directory import RunDirectory
    from ser_train.runs.settings import Settings

__all__ = ["main"]

NOTEBOOK = ["rnn", "lstm", "gru"]
COMMANDS = {  # and who parses their options, and where they are
    "across": (parse_cross_corpus, "ser_train.evaluation.cross_corpus"),
    "choose": (parse_select, "ser_train.evaluation.model_selection"),
    "conditions": (parse_robustness, "ser_train.cli.robustness"),
    "report": (parse_report, "ser_train.reporting.html.page"),
}
_ALONE = Lock()  # one training at a time in a process: seeds and threads are the process's


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    name = arguments[0] if arguments else ""
    try:
        if name in COMMANDS:
            parse, module = COMMANDS[name]
            options = parse(arguments[1:])
            return int(getattr(import_module(module), name)(options))
        return _evaluate(parse_evaluate(arguments[1:])) if name == "evaluate" else _fit(parse_train(arguments))
    except SerEdgeError as error:
        print(f"ser-train: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # a full disk, or a folder that can't be written
        print(f"ser-train: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"ser-train: {error.name} is not installed; try: {install_extra('train')}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        print("ser-train: stopped; run the same command again to go on", file=sys.stderr)
        return 128 + signal.SIGINT


def _fit(options: argparse.Namespace) -> int:
    if find_spec("tensorflow") is None:  # said now, not after the download
        raise ModuleNotFoundError(name="tensorflow")
    from ser_train.data.custom.custom_corpus import is_custom
    from ser_train.data.download import locate
    from ser_train.networks.config import with_changes
    from ser_train.networks.zoo import NETWORKS

    own = any(is_custom(locate(path)) for path in options.data or [])
    options.arch = options.arch or (["crnn"] if own else NOTEBOOK)
    options.protocol = options.protocol or ["speaker" if own else "notebook"]
    for network in options.arch:
        with_changes(NETWORKS[network].recipe, options.set)  # refuses what isn't a setting
    from ser_edge.recognition.batch.dask_backend import cluster_client

    with cluster_client(options.cluster) if options.cluster else nullcontext() as client:
        return _fit_with(options, client)


def _fit_with(options: argparse.Namespace, client: "Client | None") -> int:
    from ser_train.data.corpus_loader import duplicates, read_corpora, unique
    from ser_train.data.download import locate
    from ser_train.data.splits import PROTOCOLS
    from ser_train.reporting.tables import caution
    from ser_train.runs.settings import Settings

    folders = [locate(path, options.mirror) for path in options.data or [None]]
    if client is not None:  # its workers have working directories of their own
        folders, options.out = [folder.resolve() for folder in folders], options.out.resolve()
        options.init = str(Path(options.init).resolve()) if "/" in options.init else options.init
    utterances = read_corpora(folders)
    recordings, groups = unique(utterances), duplicates(utterances)
    counts = Counter(u.emotion for u in recordings if u.is_custom)
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
    from joblib import cpu_count

    from ser_train.networks.keras_backend import load

    with _ALONE:
        load(threads=max(1, cpu_count() // jobs))
        from tqdm import tqdm

        from ser_train.training.loop import fit

        tqdm.set_lock(RLock())  # its own is a semaphore: a process that Ctrl-C ends leaves it behind, with a warning
        return fit(settings, utterances, out, bar=bar)


def _evaluate(options: argparse.Namespace) -> int:
    import json

    from ser_train.data.atomic import write_text
    from ser_train.evaluation.results import evaluate, include
    from ser_train.reporting.model_card import include_model_cards
    from ser_train.reporting.tables import markdown_table
    from ser_train.runs.run_directory import RunDirectory

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
        include_model_cards(runs, page)
    if not rows:
        print("ser-train: no figure: protocol all tests voices that it was trained on; give the five runs of "
              "--protocol speaker as well (five speakers or more)", file=sys.stderr)  # fmt: skip
        return 1
    print(markdown_table(rows), end="")
    return 0
