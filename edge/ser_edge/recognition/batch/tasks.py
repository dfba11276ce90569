"""What judging many files is made of, wherever it is done: groups of files, what comes of each, and their order.

Memory doesn't grow with the number of files: so many are judged ahead of the one whose turn it is, and no more.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ser_edge.errors import AudioError
from ser_edge.errors.user_warnings import capture_warnings, warn
from ser_edge.recognition.prediction import Prediction
from ser_edge.recognition.recognizer import Recognizer
from ser_edge.recognition.windows import WindowConfig

__all__ = [
    "FileResult",
    "FutureLike",
    "OnPrediction",
    "RecognizerConfig",
    "default_jobs",
    "group_files",
    "judged",
    "map_ordered",
    "predictions",
    "worth_processes",
]

_FILES, _BYTES = 16, 1 << 22  # of a bundle, at most: tenths of a second of work, where asking takes milliseconds
_WORTH = 8 << 20  # bytes of sound, which take about as long to judge as processes to start

OnPrediction = Callable[[Prediction], None]
OnProgress = Callable[[float, float], None]  # seconds done, seconds in all
Item = TypeVar("Item")


class FutureLike(Protocol):
    """What a future is here: concurrent.futures' and Dask's are alike in this."""

    def done(self) -> bool:
        """It has a result, an exception, or was cancelled."""

    def cancel(self) -> Any:
        """Asks not to begin with it."""

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Waits for its end, so long; TimeoutError if that wasn't enough."""


Begun = TypeVar("Begun", bound=FutureLike)


@dataclass(frozen=True)
class RecognizerConfig:
    """What a recognizer is made of, so that another process or machine makes the same; see `Recognizer`."""

    model: str
    threads: int
    threshold: float | None
    windowing: WindowConfig
    channel: int | None = None

    def build(self) -> Recognizer:
        """Makes one.

        Raises:
            ModelError: no such model, or one that can't be used.
            ValueError: a window that the model can't take.
        """
        return Recognizer(self.model, self.threads, self.threshold, self.windowing, self.channel)


@dataclass(frozen=True)
class FileResult:
    """What came of a file."""

    predictions: tuple[Prediction, ...]
    problem: str | None = None  # why there are no more
    warnings: tuple[str, ...] = ()  # what should be known although there are answers

    def tell(self, show: OnPrediction) -> None:
        """Shows the predictions, and warns.

        Raises:
            AudioError: the file couldn't be judged, or not to its end.
        """
        for prediction in self.predictions:
            show(prediction)
        for warning in self.warnings:
            warn(warning)
        if self.problem is not None:
            raise AudioError(self.problem)


def predictions(recognizer: Recognizer, path: str, timeline: bool, within: OnProgress) -> Iterator[Prediction]:
    """One for the file, or one for each window of it as soon as it is made.

    Args:
        recognizer: judges it.
        path: of the file.
        timeline: judge its windows.
        within: is called with the seconds done and the seconds of all, while a long file is judged.

    Raises:
        AudioError: it can't be judged, or not to its end.
    """
    if not timeline:
        yield recognizer.predict(path, progress=within)
        return
    from ser_edge.audio.decoding.decoder import open_sound

    with open_sound(path) as sound:
        stream = recognizer.create_stream(sound.rate, path)
        for chunk in sound.chunks:
            yield from stream.accept_channels(chunk)
            within(stream.seconds, sound.seconds or 0.0)
        yield from stream.input_finished()


def judged(recognizer: Recognizer, path: str, timeline: bool, within: OnProgress) -> FileResult:
    """All `predictions` of a file, what kept it from giving more, and the warnings on the way."""
    found: list[Prediction] = []
    warnings: list[str] = []
    problem = None
    try:
        with capture_warnings(warnings.append):
            for prediction in predictions(recognizer, path, timeline, within):
                found.append(prediction)  # noqa: PERF402 - those before an error count
    except AudioError as error:
        problem = str(error)
    return FileResult(tuple(found), problem, tuple(warnings))


def default_jobs(threads: int) -> int:
    """Files at the same time that suit this machine, where an inference takes so many threads."""
    return max(1, _cores() // threads)


def _cores() -> int:
    """Those that this process may use."""
    count: Callable[[], int | None] | None = getattr(os, "process_cpu_count", None)  # from Python 3.13 on
    if count is None and hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return (count or os.cpu_count)() or 1


def worth_processes(paths: Sequence[str]) -> bool:
    """Whether these files are worth starting processes for."""
    return len(paths) > 1 and sum(map(_size, paths)) >= _WORTH


def group_files(paths: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """So many files that asking somebody else for them is worth it, and so few that all have some."""
    bundle: list[str] = []
    total = 0
    for path in paths:
        size = _size(path)
        if bundle and (len(bundle) == _FILES or total + size > _BYTES):
            yield tuple(bundle)
            bundle, total = [], 0
        bundle.append(path)
        total += size
    if bundle:
        yield tuple(bundle)


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:  # not there, or only for others: judging it says so
        return 0


def map_ordered(
    submit: Callable[[Item], Begun], items: Iterable[Item], ahead: int, meanwhile: Callable[[], None] = lambda: None
) -> Generator[Begun, None, None]:
    """Has items worked on, and gives the finished ones back in the same order.

    Args:
        submit: begins the work on an item, somewhere else.
        items: taken as they are needed.
        ahead: no more than so many are begun before the first of them is given back.
        meanwhile: is called now and then while there is nothing to give.

    Yields:
        Futures that are done. After Ctrl-C those that are done by then, before it is raised again; on the way out the
        others are cancelled.
    """
    waiting: deque[Begun] = deque()
    try:
        for item in items:
            waiting.append(submit(item))
            while waiting and (waiting[0].done() or len(waiting) >= ahead):
                yield _first(waiting, meanwhile)
        while waiting:
            yield _first(waiting, meanwhile)
    except KeyboardInterrupt:
        yield from [future for future in waiting if future.done()]
        raise
    finally:
        for future in waiting:
            future.cancel()


def _first(waiting: deque[Begun], meanwhile: Callable[[], None]) -> Begun:
    """Waits for the first, in steps: on Windows, Ctrl-C is heard between them."""
    while not waiting[0].done():
        meanwhile()
        with suppress(TimeoutError):
            waiting[0].exception(timeout=1)
    return waiting.popleft()
