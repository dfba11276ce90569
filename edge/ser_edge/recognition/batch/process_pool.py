"""Many files on all cores: judged by processes, a few files at a time, and answered in the order they were given.

Processes, not threads: Python runs one thread at a time, and of judging a file a fifth is Python's. Two threads on two
cores are 1.3 times as fast as one, two processes 1.9 times. A process takes 55 MB and a tenth of a second to start, so
a few short files are better judged without (`batch.worth_processes`). For more machines there is `cluster`.

Each process has a recognizer of its own: they share nothing that changes, and an answer doesn't depend on who gave it.
"""

import multiprocessing
import os
import signal
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from threading import Thread
from typing import Any

from ser_edge.errors import SerEdgeError
from ser_edge.errors.native_stderr import keep_freed_memory
from ser_edge.output.progress import Progress
from ser_edge.recognition.batch.tasks import FileResult, RecognizerConfig, group_files, judged, map_ordered
from ser_edge.recognition.recognizer import Recognizer

__all__ = ["predict_in_processes"]

_AHEAD = 32  # groups begun before the first is given back: what is judged meanwhile waits in memory

_mine: dict[str, Any] = {}  # of this process, where it is one of those that judge: what `_begin` got and `_judge` made


def predict_in_processes(
    setup: RecognizerConfig, paths: Iterable[str], jobs: int, timeline: bool, progress: Progress
) -> Generator[FileResult, None, None]:
    """Judges files, so many at the same time.

    Args:
        setup: makes the recognizer of each process.
        paths: of the files; taken as they are needed.
        jobs: processes.
        timeline: judge windows.
        progress: is told.

    Yields:
        The outcome of each file, in the order of `paths`. Closing it stops the processes, within a piece of a long
        file.

    Raises:
        ModelError: the network, or the voice detector's runtime, can't be used.
        SerEdgeError: processes can't be started here, or one died.
    """
    context = multiprocessing.get_context("spawn")  # what a fork leaves of LiteRT's and BLAS's threads may hang
    try:
        stopped, parts = context.Event(), context.Value("d", 0.0)
        pool = ProcessPoolExecutor(jobs, context, _begin, (setup, stopped, parts))
    except (ImportError, NotImplementedError, OSError, ValueError) as e:  # ValueError: more than Windows can wait for
        raise SerEdgeError(f"processes can't be started on this system ({e}); try: --jobs 1") from e

    def submit(bundle: tuple[str, ...]) -> "Future[list[FileResult]]":
        with _uninterrupted():
            future = pool.submit(_judge, bundle, timeline)
        future.add_done_callback(lambda _: progress.next(len(bundle)))
        return future

    with pool:
        try:
            ahead = 2 * jobs if timeline else max(_AHEAD, 2 * jobs)
            waiting = map_ordered(submit, group_files(paths), ahead, lambda: progress.parts(parts.value))
            with closing(waiting) as futures:
                for future in futures:
                    yield from future.result()
        except BrokenProcessPool as e:
            raise SerEdgeError(
                "a process that judged files died, perhaps for want of memory; try fewer: --jobs 1"
            ) from e
        finally:
            stopped.set()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """What is started inside never hears of Ctrl-C, which a terminal sends to all: this process stops the others."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows `_begin` sees to it, a little later
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(setup: RecognizerConfig, stopped: Any, parts: Any) -> None:
    """Makes a new process one that judges."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()
    _mine.update(setup=setup, stopped=stopped, parts=parts)


def _end_with_parent() -> None:
    """Processes whose parent was killed would wait for more to do for ever."""
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)


def _judge(paths: Sequence[str], timeline: bool) -> list[FileResult]:
    if "recognizer" not in _mine:
        _mine["recognizer"] = _mine["setup"].open()
    return [_judge_one(_mine["recognizer"], path, timeline) for path in paths]


def _judge_one(recognizer: Recognizer, path: str, timeline: bool) -> FileResult:
    stopped, parts = _mine["stopped"], _mine["parts"]
    told = 0.0  # of this file, in `parts`

    def tell(part: float) -> None:
        nonlocal told
        if part != told:
            with parts.get_lock():
                parts.value += part - told
            told = part

    def within(done: float, total: float) -> None:
        if stopped.is_set():
            raise _Stopped
        tell(min(1.0, done / total) if total else 0.0)

    try:
        return judged(recognizer, path, timeline, within)
    finally:
        tell(0.0)


class _Stopped(Exception):
    """Nobody wants the outcome any more."""
