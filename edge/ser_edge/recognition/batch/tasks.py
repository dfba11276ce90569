"""Many files: the result of a file, and how files are grouped into tasks and their results kept in order.

Memory doesn't grow with the number of files: `map_ordered` keeps a bounded number of tasks in flight.
"""

import math
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ser_edge.errors import AudioError
from ser_edge.errors.user_warnings import capture_warnings, warn
from ser_edge.recognition.classifier import OnProgress, SoundClassifier
from ser_edge.recognition.prediction import Prediction

_MAX_FILES, _MAX_BYTES = 16, 1 << 22  # of a task: tenths of a second of work, where a request takes milliseconds
_WORTH_PROCESSES = 8 << 20  # bytes of audio, which take about as long to classify as processes take to start

Item = TypeVar("Item")


@dataclass(frozen=True)
class FileResult:
    """What came of a file: iterating yields its predictions, then issues its warnings and raises its error."""

    path: str  # as it was given
    predictions: tuple[Prediction, ...]  # one, or with `timeline` one for each window; those before an error
    error: AudioError | None = None
    warnings: tuple[str, ...] = ()  # of missing or silent parts
    seconds: float | None = field(default=None, compare=False)  # that classifying it took

    @property
    def prediction(self) -> Prediction | None:
        """The first prediction: the file's, or with `timeline` its first window's; None where there is none."""
        return self.predictions[0] if self.predictions else None

    def __iter__(self) -> Generator[Prediction, None, None]:
        yield from self.predictions
        for warning in self.warnings:
            warn(warning)
        if self.error is not None:
            raise self.error


def classify_file(
    recognizer: SoundClassifier, path: str, timeline: bool, on_progress: OnProgress | None = None
) -> FileResult:
    """Classifies a file to its end: its predictions, its error and its warnings as one picklable result."""
    predictions: list[Prediction] = []
    warnings: list[str] = []
    error = None
    began = time.perf_counter()
    try:
        with capture_warnings(warnings.append):
            for prediction in recognizer.file_predictions(path, timeline, on_progress):
                predictions.append(prediction)  # noqa: PERF402 - those before an error count
    except AudioError as e:
        error = AudioError(str(e), code=e.code)  # without its cause, which may not be picklable
    return FileResult(path, tuple(predictions), error, tuple(warnings), time.perf_counter() - began)


def default_jobs(threads: int) -> int:
    """How many files to classify at the same time where each takes so many threads: one per usable core.

    One in a worker process of multiprocessing, which mustn't start others.
    """
    from multiprocessing import current_process  # only for many files, which need it anyway

    return 1 if current_process().daemon else max(1, usable_cores() // threads)


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that this process may use: those it is bound to, or as many as a container's CPU quota comes to."""
    count: Callable[[], int | None] | None = getattr(os, "process_cpu_count", None)  # from Python 3.13 on
    if count is None and hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = (count or os.cpu_count)() or 1
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # cgroup 2 and 1
        with suppress(OSError, ValueError):  # no such file; "max", which is no quota
            quota, period = map(int, " ".join((cgroup / name).read_text() for name in names).split())
            if quota > 0 and period > 0:  # -1 is no quota
                cores = min(cores, math.ceil(quota / period))
    return cores


def worth_processes(paths: Sequence[str]) -> bool:
    """Whether these files take longer to classify than processes take to start."""
    return len(paths) > 1 and sum(map(_size, paths)) >= _WORTH_PROCESSES


def group_files(paths: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Groups files into tasks large enough to amortise communication and small enough to balance load."""
    group: list[str] = []
    total = 0
    for path in paths:
        size = _size(path)
        if group and (len(group) == _MAX_FILES or total + size > _MAX_BYTES):
            yield tuple(group)
            group, total = [], 0
        group.append(path)
        total += size
    if group:
        yield tuple(group)


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):  # missing, unreadable, or no name of a file: opening it will report that
        return 0


def map_ordered(submit: Callable[[Item], Any], items: Iterable[Item], max_in_flight: int) -> Generator[Any, None, None]:
    """Submits items, and yields their finished futures in the order of the items.

    Args:
        submit: starts the work on an item, and returns a future of concurrent.futures or of Dask.
        items: taken as they are needed.
        max_in_flight: futures submitted and not yet yielded, at most.

    Yields:
        Finished futures. After Ctrl-C those that have finished by then, before KeyboardInterrupt is raised again;
        unfinished ones are cancelled at the end.
    """
    in_flight: deque[Any] = deque()
    try:
        for item in items:
            in_flight.append(submit(item))
            while in_flight and (in_flight[0].done() or len(in_flight) >= max_in_flight):
                yield _wait(in_flight)
        while in_flight:
            yield _wait(in_flight)
    except KeyboardInterrupt:
        yield from [future for future in in_flight if future.done()]
        raise
    finally:
        for future in in_flight:
            future.cancel()


def _wait(in_flight: deque[Any]) -> Any:
    """Waits for the first future, a second at a time: Windows delivers Ctrl-C only between waits."""
    while not in_flight[0].done():
        with suppress(TimeoutError):
            in_flight[0].exception(timeout=1)
    return in_flight.popleft()
