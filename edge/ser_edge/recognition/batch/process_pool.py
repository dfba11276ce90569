"""Many files on all cores: processes classify a few files at a time, results come in the order of the files.

Processes, not threads: a fifth of the work on a file is Python's, which runs one thread at a time. On two cores two
threads are 1.3 times as fast as one, two processes 1.9 times. A process takes 55 MB and a tenth of a second to start,
so a few short files are faster without (`tasks.worth_processes`). Each process has its own recognizer.
"""

import atexit
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from typing import Any

from ser_edge.errors import SerEdgeError
from ser_edge.errors.native_stderr import keep_freed_memory
from ser_edge.recognition.batch.tasks import FileResult, classify_file, group_files, map_ordered
from ser_edge.recognition.classifier import SoundClassifier

_MIN_IN_FLIGHT = 32  # tasks; results that wait for their turn stay in memory

_stop_events: dict[ProcessPoolExecutor, Any] = {}  # of the pools that are open
_worker: dict[str, Any] = {}  # of a worker process: its stop event, and its recognizer, pickled until it is needed


def predict_in_processes(
    recognizer: SoundClassifier, paths: Iterable[str], jobs: int, timeline: bool = False
) -> Generator[FileResult, None, None]:
    """Classifies files in several processes, each with a recognizer like this one; takes paths as they are needed.

    With `timeline` each window of a file is predicted, not the file as a whole.

    Yields:
        The result of each file, in the order of `paths`. Closing the generator stops the processes, within a chunk of
        a long file.

    Raises:
        ModelError: the network, or the voice detector's runtime, can't be used.
        SerEdgeError: processes can't be started here, or one died.
        TypeError: a recognizer whose model wasn't opened from a file.
    """
    context = multiprocessing.get_context("spawn")  # LiteRT's and BLAS's threads may hang after a fork
    pickled = _pickled(recognizer)
    try:
        _check_may_start()
        started, stopped = context.Event(), context.Event()
        pool = ProcessPoolExecutor(jobs, context, _start_worker, (pickled, started, stopped))
    except (ImportError, NotImplementedError, OSError, ValueError) as e:  # ValueError: more than Windows can wait for
        message = f"processes can't be started here ({e}); try: --jobs 1, or jobs=1 in Python"
        raise SerEdgeError(message, code="processes-unavailable") from e

    def submit(group: tuple[str, ...]) -> "Future[list[FileResult]]":
        with _sigint_blocked():
            return pool.submit(_classify_files, group, timeline)

    _stop_events[pool] = stopped
    with pool:
        try:
            max_in_flight = 2 * jobs if timeline else max(_MIN_IN_FLIGHT, 2 * jobs)
            with closing(map_ordered(submit, group_files(paths), max_in_flight)) as futures:
                for future in futures:
                    yield from future.result()
        except BrokenProcessPool as e:
            if not started.is_set():
                advice = 'save it, and do this below `if __name__ == "__main__":`, or with jobs=1'
                message = f"worker processes can't import the program's main script; {advice}"
                raise SerEdgeError(message, code="processes-unavailable") from e
            message = "a worker process died, perhaps for lack of memory; try fewer: --jobs 1, or jobs=1 in Python"
            raise SerEdgeError(message, code="process-died") from e
        finally:
            stopped.set()
            del _stop_events[pool]


def _stop_all() -> None:
    """Stops the processes of iterators that a program keeps at its end: Python would wait for all of their files."""
    for pool, stopped in list(_stop_events.items()):
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)


# Before Python waits for the threads of pools, which is before what `atexit` has.
getattr(threading, "_register_atexit", atexit.register)(_stop_all)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C, which a terminal sends to all of them: the parent stops its workers."""
    if not hasattr(signal, "pthread_sigmask"):  # pragma: no cover (Windows: `_start_worker` ignores it a little later)
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pickled(recognizer: SoundClassifier) -> bytes:
    try:
        return pickle.dumps(recognizer)
    except (AttributeError, TypeError, pickle.PicklingError) as e:
        reason = "the recognizer's model wasn't opened from a file, so other processes can't have it"
        raise TypeError(f"{reason} ({e}); type jobs=1") from e


def _check_may_start() -> None:
    """Raises OSError where Python lets no process start others: with advice, and before any file is taken."""
    process = multiprocessing.current_process()
    if process.daemon:
        raise OSError("this is a worker process of multiprocessing")
    if getattr(process, "_inheriting", False):  # set while a new process imports the script that started it
        raise OSError('the script does this as it is imported; put it below `if __name__ == "__main__":`')


def _start_worker(pickled: bytes, started: Any, stopped: Any) -> None:
    """Initialises a new worker process."""
    started.set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    keep_freed_memory()
    _worker.update(pickled=pickled, stopped=stopped)


def _exit_with_parent() -> None:
    """Ends this process when its parent was killed; it would wait for tasks forever."""
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)


def _classify_files(paths: Sequence[str], timeline: bool) -> list[FileResult]:
    if "recognizer" not in _worker:
        _worker["recognizer"] = pickle.loads(_worker["pickled"])
    results = []
    for path in paths:
        _check_stopped()
        results.append(classify_file(_worker["recognizer"], path, timeline, _check_stopped))
    return results


def _check_stopped(seconds: float = 0.0, total: float = 0.0) -> None:
    """Called before each file, and between the chunks of a long one."""
    if _worker["stopped"].is_set():
        raise _Stopped


class _Stopped(Exception):
    """The parent has closed the pool and drops the result."""
