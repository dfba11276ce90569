"""Runs trainings one after the other, in parallel processes, or on the workers of a Dask cluster."""

import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock, RLock
from typing import TYPE_CHECKING

from ser_edge.errors import SerEdgeError
from ser_train.data.utterance import Utterance
from ser_train.runs.run_directory import SUMMARY_FILES, RunDirectory
from ser_train.runs.settings import Settings

if TYPE_CHECKING:
    from distributed import Client

_ALONE = Lock()  # one training at a time in a process: seeds and threads are the process's


def check_all(trainings: Sequence[Settings], utterances: Sequence[Utterance], out: Path) -> None:
    """Raises now what a later training would raise after hours; before TensorFlow is loaded, what needs no more."""
    from joblib import cpu_count

    from ser_train.data.splits import PROTOCOLS
    from ser_train.networks.keras_backend import load

    for settings in trainings:
        PROTOCOLS[settings.protocol].split(utterances, settings.fold, settings.seed)
    load(threads=cpu_count())  # which stays, where trainings one after the other are in this process
    from ser_train.training.loop import check

    for settings in trainings:
        check(settings, utterances, out)


def train_locally(
    trainings: Sequence[Settings], utterances: Sequence[Utterance], out: Path, jobs: int
) -> Iterable[RunDirectory]:
    """Finished runs in the order asked for, each as soon as it is there.

    Args:
        trainings: the runs to make.
        utterances: the corpus.
        out: the folder of run directories.
        jobs: processes that train at a time.
    """
    from joblib import Parallel, delayed

    if jobs > 1:
        _encode_first(trainings, utterances, out)
    train = delayed(partial(_train, utterances=utterances, out=out, jobs=jobs, bar=jobs == 1))
    yield from Parallel(n_jobs=jobs, return_as="generator")(map(train, trainings))


def _encode_first(trainings: Sequence[Settings], utterances: Sequence[Utterance], out: Path) -> None:
    """Computes what trainings on a frozen encoder share, on all cores."""
    from ser_train.networks.config import EncoderConfig
    from ser_train.networks.zoo import NETWORKS

    different = {
        (t.network, t.changes, t.encoder): t for t in trainings if isinstance(NETWORKS[t.network].recipe, EncoderConfig)
    }
    if different:
        from ser_train.networks.keras_backend import load

        load()
        from ser_train.training.plans import encode_first

        for settings in different.values():
            encode_first(settings, utterances, out)


def train_on_cluster(
    client: "Client", trainings: Sequence[Settings], utterances: Sequence[Utterance], out: Path, jobs: int
) -> Iterable[RunDirectory]:
    """The same, on a cluster's workers. A training whose worker dies continues on another one, at its checkpoint.

    Not through joblib: its Dask backend yields results only when all are there, and would distribute what a training
    does in parallel as well.
    """
    from distributed import CancelledError, KilledWorker

    workers = len(client.nthreads())  # type: ignore[no-untyped-call]
    print(f"{workers} workers" if workers else "no worker yet, waiting: dask worker", file=sys.stderr)
    train = partial(_train, utterances=utterances, out=out, jobs=jobs)
    for settings, future in zip(trainings, client.map(train, trainings, pure=False), strict=True):
        try:
            run = future.result()
        except KilledWorker as e:
            message = f"{settings.name}: several workers died of it; run the same command again to go on"
            raise SerEdgeError(message, code="training-interrupted") from e
        except CancelledError as e:
            message = "the Dask scheduler is gone; run the same command again to go on"
            raise SerEdgeError(message, code="training-interrupted") from e
        yield run


def _train(
    settings: Settings, utterances: Sequence[Utterance], out: Path, jobs: int, bar: bool = False
) -> RunDirectory:
    from joblib import cpu_count

    from ser_train.networks.keras_backend import load

    with _ALONE:
        load(threads=max(1, cpu_count() // jobs))
        from tqdm import tqdm

        from ser_train.training.loop import fit

        tqdm.set_lock(RLock())  # its own is a semaphore: a process that Ctrl-C ends leaves it behind, with a warning
        run = fit(settings, utterances, out, bar=bar)
        _summarize(run)
        return run


def _summarize(run: RunDirectory) -> None:
    """Writes the text report and the plots of a finished run, unless they are there."""
    if all((run.path / name).exists() for name in SUMMARY_FILES):
        return
    from ser_train.reporting.plots import Curve, plot_confusion, plot_histories
    from ser_train.reporting.tables import classification_text

    test, labels, name = run.answers.of_test(), run.metadata.labels, run.settings.name
    run.write("report.txt", classification_text(test, labels))
    plot_confusion(test, labels, name, run.path / "confusion.png")
    curve = Curve(run.read("history.json"), run.read("run.json")["best_epoch"])
    plot_histories([curve], name, run.path / "curves.png")
