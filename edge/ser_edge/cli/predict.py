"""Classifies files: finds them, chooses one process, a process pool or a Dask cluster, and writes the predictions."""

import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from ser_edge.cli.arguments.rules import STDIN
from ser_edge.errors import AudioError, OutputError
from ser_edge.errors.native_stderr import keep_freed_memory
from ser_edge.output.progress import Log, finish_file, log_line
from ser_edge.recognition.batch.tasks import FileResult
from ser_edge.recognition.classifier import OnProgress
from ser_edge.recognition.prediction import Prediction
from ser_edge.recognition.recognizer import Recognizer, RecognizerConfig

if TYPE_CHECKING:
    from distributed import Client
    from tqdm import tqdm

    from ser_edge.cli.listen import ListenOptions
    from ser_edge.output.folder import OutputFolder
    from ser_edge.output.writers import Sink

Predictions = FileResult | Generator[Prediction, None, None]  # of an input: iterating them raises its error


@dataclass(frozen=True)
class PredictOptions:
    """How files are classified."""

    timeline: bool = False  # a prediction for each window of a file, not one for the whole file
    jobs: int | None = None  # processes; None is as many as suit the files and this machine
    client: "Client | None" = None  # of a Dask cluster that classifies them
    stdin: "ListenOptions | None" = None  # how `-` is classified
    on_progress: OnProgress | None = None  # called within a long file, where this process classifies it
    log: Log = field(default_factory=Log)


def predict_files(
    config: RecognizerConfig, recognizer: Recognizer, paths: Iterable[str], options: PredictOptions
) -> Generator[Predictions, None, None]:
    """Classifies files, and `-`, in their order.

    Args:
        config: builds the recognizers of other machines.
        recognizer: this process's.
        paths: taken as they are needed.
        options: how they are classified.

    Yields:
        The predictions of each input.

    Raises:
        SerEdgeError: no further file can be classified.
    """
    if options.client is not None:
        from ser_edge.recognition.batch.dask_backend import predict_in_cluster

        workers = len(options.client.nthreads())  # type: ignore[no-untyped-call]
        options.log.detail(f"classified by a Dask cluster, now of {workers} worker{'s' * (workers != 1)}")
        yield from predict_in_cluster(options.client, config, recognizer.metadata, paths, options.timeline)
        return

    def classify(path: str) -> Generator[Prediction, None, None]:
        if path == STDIN and options.stdin is not None:
            from ser_edge.cli.listen import listen_to_stdin

            return listen_to_stdin(recognizer, options.stdin)
        return recognizer.file_predictions(path, options.timeline, options.on_progress)

    paths = iter(paths)
    first = list(islice(paths, 2))
    paths = chain(first, paths)
    if len(first) < 2:
        yield from map(classify, first)
        return
    from ser_edge.recognition.batch.files import map_files

    def log_processes(jobs: int) -> None:
        options.log.detail(f"classified in {jobs} processes")

    keep_freed_memory()
    jobs = options.jobs if options.stdin is None else 1
    yield from map_files(recognizer, paths, jobs, options.timeline, classify, log_processes)


def write_results(
    results: Iterable[Predictions],
    sinks: Sequence["Sink"],
    bar: "tqdm[None] | None" = None,
    folder: "OutputFolder | None" = None,
    log: Log = Log(),  # noqa: B008 - frozen
) -> tuple[int, int]:
    """Writes predictions to all sinks, and to a folder if given, as they come; what fails is a line on standard error.

    Returns:
        (files classified, files failed)
    """
    classified = failed = 0
    for result in results:
        began, last = time.perf_counter(), None
        try:
            with closing(iter(result)) as predictions, folder.files() if folder else nullcontext() as files:
                for prediction in predictions:
                    for sink in (*sinks, files) if files else sinks:
                        sink.write(prediction)
                    last = prediction
            classified += 1
            if log.details and last:
                taken = result.seconds if isinstance(result, FileResult) else None
                log.detail(_timing(last, taken or time.perf_counter() - began))
        except (AudioError, OutputError) as error:
            log.error(error)
            failed += 1
        if bar is not None:
            finish_file(bar)
    return classified, failed


def _timing(last: Prediction, seconds: float) -> str:
    """How long a file took, in a line, by its last prediction."""
    return f"{last.path}: {last.end:.1f} s of sound in {seconds:.3f} s"


def find_files(paths: Iterable[str], undecodable: Counter[str] | None = None) -> Iterator[str]:
    """Yields files as given, and for folders the audio files below them in order.

    Args:
        paths: of files and folders; reading one that doesn't exist will fail.
        undecodable: counts, by suffix, the audio files in folders that need a missing decoder; see `find_sound_files`.
    """
    for given in paths:
        folder = Path(given)
        try:
            is_folder = folder.is_dir()
        except OSError:  # too long for a name; reading it will report that
            is_folder = False
        if not is_folder:
            yield given
            continue
        from ser_edge.audio.folders import find_sound_files

        before = undecodable.total() if undecodable else 0
        below = find_sound_files(folder, undecodable)
        if first := next(below, None):
            yield from map(str, chain([first], below))
        elif not undecodable or undecodable.total() == before:
            yield given


def count_undecodable(undecodable: Counter[str]) -> int:
    """Logs how many files need a missing decoder, and returns their number."""
    from ser_edge.audio.decoding.ffmpeg import install_command

    count, suffixes = undecodable.total(), ", ".join(sorted(undecodable))
    files = "file" if count == 1 else "files"
    log_line(f"ser-edge: {count} {files} skipped ({suffixes}), which need PyAV or ffmpeg; try: {install_command()}")
    return count
