"""Many files at the same time: judged by threads, answered in the order they were given.

Threads, not processes: libsndfile, soxr, NumPy's larger operations and both runtimes let go of the interpreter while
they work, four fifths of the time, so one file is decoded while another is in the network. On two cores, processes are
a tenth slower for 300 files and a tenth faster for 1440, and take 55 MB each where a thread takes 10. The fifth that is
left keeps threads from using more than about five cores; whoever has many starts Dask workers on them (`cluster`).

Each thread has a recognizer of its own: they share nothing that changes, and an answer doesn't depend on who gave it.
Memory doesn't grow with the number of files: so many are judged ahead of the one whose turn it is, and no more.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ser_edge.errors import AudioError
from ser_edge.prediction import Prediction
from ser_edge.progress import Progress
from ser_edge.recognizer import Recognizer
from ser_edge.windowing import Windowing

__all__ = ["Outcome", "Pending", "Setup", "Show", "in_order", "in_threads", "jobs_for", "judged", "predictions"]

_AHEAD = 256  # files; a long one holds up the answers of so many, a kilobyte each, before the other cores wait for it
_MOST = 8  # threads that are worth starting: the interpreter is busy with five

Show = Callable[[Prediction], None]
Within = Callable[[float, float], None]  # seconds done, seconds in all
Item = TypeVar("Item")


class Pending(Protocol):
    """What a future is here: concurrent.futures' and Dask's are alike in this."""

    def done(self) -> bool:
        """It has a result, an exception, or was cancelled."""

    def cancel(self) -> Any:
        """Asks not to begin with it."""

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Waits for its end, so long; TimeoutError if that wasn't enough."""


Begun = TypeVar("Begun", bound=Pending)


@dataclass(frozen=True)
class Setup:
    """What a recognizer is made of, so that another thread or machine makes the same; see `Recognizer`."""

    model: str
    threads: int
    threshold: float | None
    windowing: Windowing

    def open(self) -> Recognizer:
        """Makes one.

        Raises:
            ModelError: no such model, or one that can't be used.
            ValueError: a window that the model can't take.
        """
        return Recognizer(self.model, self.threads, self.threshold, self.windowing)


@dataclass(frozen=True)
class Outcome:
    """What came of a file."""

    predictions: tuple[Prediction, ...]
    problem: str | None = None  # why there are no more

    def tell(self, show: Show) -> None:
        """Shows the predictions.

        Raises:
            AudioError: the file couldn't be judged, or not to its end.
        """
        for prediction in self.predictions:
            show(prediction)
        if self.problem is not None:
            raise AudioError(self.problem)


def predictions(recognizer: Recognizer, path: str, timeline: bool, within: Within) -> Iterator[Prediction]:
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
    from ser_edge.blocks import file_blocks

    with file_blocks(path) as blocks:
        stream = recognizer.listener(blocks.rate, path)
        for piece in blocks.pieces:
            yield from stream.feed(piece)
            within(stream.seconds, blocks.seconds or 0.0)
        yield from stream.finish()


def judged(recognizer: Recognizer, path: str, timeline: bool, within: Within) -> Outcome:
    """All `predictions` of a file, and what kept it from giving more."""
    found: list[Prediction] = []
    try:
        for prediction in predictions(recognizer, path, timeline, within):
            found.append(prediction)  # noqa: PERF402 - those before an error count
    except AudioError as error:
        return Outcome(tuple(found), str(error))
    return Outcome(tuple(found))


def jobs_for(threads: int) -> int:
    """Files at the same time that suit this machine, where an inference takes so many threads."""
    return max(1, min(_MOST, _cores() // threads))


def _cores() -> int:
    """Those that this process may use."""
    count: Callable[[], int | None] | None = getattr(os, "process_cpu_count", None)  # from Python 3.13 on
    if count is None and hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return (count or os.cpu_count)() or 1


def in_threads(
    setup: Setup, recognizer: Recognizer, paths: Iterable[str], jobs: int, timeline: bool, progress: Progress
) -> Generator[Outcome, None, None]:
    """Judges files, so many at the same time.

    Args:
        setup: makes a recognizer for each thread but the first.
        recognizer: is the first's.
        paths: of the files; taken as they are needed.
        jobs: threads.
        timeline: judge windows.
        progress: is told.

    Yields:
        The outcome of each file, in the order of `paths`. Closing it stops the threads, within a piece of a long file.

    Raises:
        ModelError: the network, or the voice detector's runtime, can't be used.
    """
    from concurrent.futures import Future, ThreadPoolExecutor
    from queue import SimpleQueue

    free: SimpleQueue[Recognizer] = SimpleQueue()
    begun, stopped = 0, False

    def within(done: float, total: float) -> None:
        if stopped:
            raise _Stopped
        progress.within(done, total)

    def work(path: str) -> Outcome:
        mine = free.get()
        try:
            return judged(mine, path, timeline, within)
        finally:
            free.put(mine)
            progress.next()

    def submit(path: str) -> Future[Outcome]:
        nonlocal begun
        if begun < jobs:  # opened while the threads before are at work
            free.put(setup.open() if begun else recognizer)
        begun += 1
        return pool.submit(work, path)

    ahead = 2 * jobs if timeline else max(_AHEAD, 2 * jobs)
    with ThreadPoolExecutor(jobs, "ser-edge") as pool:
        try:
            with closing(in_order(submit, paths, ahead)) as futures:
                for future in futures:
                    yield future.result()
        finally:
            stopped = True


def in_order(submit: Callable[[Item], Begun], items: Iterable[Item], ahead: int) -> Generator[Begun, None, None]:
    """Has items worked on, and gives the finished ones back in the same order.

    Args:
        submit: begins the work on an item, somewhere else.
        items: taken as they are needed.
        ahead: no more than so many are begun before the first of them is given back.

    Yields:
        Futures that are done. After Ctrl-C those that are done by then, before it is raised again; on the way out the
        others are cancelled.
    """
    waiting: deque[Begun] = deque()
    try:
        for item in items:
            waiting.append(submit(item))
            while waiting and (waiting[0].done() or len(waiting) >= ahead):
                yield _first(waiting)
        while waiting:
            yield _first(waiting)
    except KeyboardInterrupt:
        yield from [future for future in waiting if future.done()]
        raise
    finally:
        for future in waiting:
            future.cancel()


def _first(waiting: deque[Begun]) -> Begun:
    """Waits for the first, in steps: on Windows, Ctrl-C is heard between them."""
    while not waiting[0].done():
        with suppress(TimeoutError):
            waiting[0].exception(timeout=1)
    return waiting.popleft()


class _Stopped(Exception):
    """Nobody wants the outcome any more."""
