"""Many files on many machines: the workers of a Dask cluster judge, the answers come back in the order of the files.

Sounds don't travel, answers do: the workers read the same files under the same paths. A task is a few files, so that
asking for them costs little beside judging them; what a worker leaves undone because it is gone, another one does. A
worker with another model, or another version of ser-edge, is refused: its answers would not be those of this machine.
"""

import logging
import pickle
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from threading import local
from typing import TYPE_CHECKING, Any

from ser_edge import __version__
from ser_edge.errors import ModelError, RuntimeUnavailable, SerEdgeError
from ser_edge.errors.install_hints import install_extra
from ser_edge.errors.native_stderr import keep_freed_memory
from ser_edge.models.metadata import ModelMetadata
from ser_edge.output.progress import Progress, log_line
from ser_edge.recognition.batch.tasks import FileResult, RecognizerConfig, group_files, judged, map_ordered
from ser_edge.recognition.recognizer import Recognizer

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["Task", "cluster_client", "predict_in_cluster", "predict_task"]

CONNECT_TIMEOUT = 10  # s, for a Dask scheduler to answer
_AHEAD = 256  # tasks begun: two for each of 128 threads

_mine = local()  # of each thread of a worker: what it `made`, a recognizer and what it was made for


@dataclass(frozen=True)
class Task:
    """A few files, and how they are judged."""

    paths: tuple[str, ...]  # as they were given
    folder: str  # which they are relative to
    timeline: bool
    setup: RecognizerConfig
    identity: str  # of the model and the program that must judge them


@contextmanager
def cluster_client(address: str) -> Iterator["Client"]:
    """A client of a Dask cluster.

    Args:
        address: of its scheduler, like tcp://host:8786.

    Raises:
        RuntimeUnavailable: distributed doesn't load.
        SerEdgeError: no scheduler answers there.
    """
    try:
        from distributed import Client
    except ImportError as e:
        raise RuntimeUnavailable(f"distributed can't be loaded ({e}); try: {install_extra('cluster')}") from e
    try:
        if not re.fullmatch(r"((tcp|tls|wss?)://)?[^/\s]+:\d+", address):  # Dask waits without end for some others
            raise ValueError("an address is like tcp://host:8786")
        client = Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError, TypeError, ValueError) as e:
        reason = " ".join(str(e).split())
        raise SerEdgeError(
            f"--cluster {address}: no Dask scheduler answers there ({reason}); start: dask scheduler"
        ) from e
    log = logging.getLogger("distributed.client")
    before = log.level
    log.setLevel(logging.CRITICAL)  # a lost scheduler is told in a line, not in its tracebacks
    try:
        with client:
            yield client
    finally:
        log.setLevel(before)


def predict_in_cluster(
    client: "Client",
    setup: RecognizerConfig,
    metadata: ModelMetadata,
    paths: Iterable[str],
    timeline: bool,
    progress: Progress,
) -> Generator[FileResult, None, None]:
    """Judges files on the workers of a cluster.

    Args:
        client: of the cluster.
        setup: of the workers' recognizers.
        metadata: of the model, as it is here.
        paths: of the files; taken as they are needed.
        timeline: judge windows.
        progress: is told.

    Yields:
        The outcome of each file, in the order of `paths`.

    Raises:
        ModelError: a worker can't use the model, or has another one.
        RuntimeUnavailable: a worker has no ser-edge.
        SerEdgeError: the scheduler is gone.
    """
    from distributed import CancelledError

    if Path(setup.model).suffix and Path(setup.model).is_file():  # not a bundled one's name
        setup = replace(setup, model=str(Path(setup.model).resolve()))
    folder, identity = str(Path.cwd()), _identity(metadata)
    asked: dict[Any, Task] = {}  # by the key of their future

    def submit(some: tuple[str, ...]) -> "Future[list[FileResult]]":
        task = Task(some, folder, timeline, setup, identity)
        # Only bytes travel, and loading them is the work: what a worker doesn't have is then an error of the task. Any
        # other function it would have to import while it reads its mail, and would die of that.
        future: Future[list[FileResult]] = client.submit(pickle.loads, pickle.dumps(_Call(task)), pure=False)
        asked[future.key] = task
        return future

    try:
        if not client.nthreads():  # type: ignore[no-untyped-call]
            log_line("ser-edge: no worker yet, waiting: dask worker")
        with closing(map_ordered(submit, group_files(paths), _AHEAD)) as futures:
            for future in futures:
                for outcome in _outcomes(future, asked.pop(future.key)):
                    progress.next()
                    yield outcome
    except (CancelledError, OSError) as e:
        raise SerEdgeError("the Dask scheduler is gone; run the same command again") from e


def predict_task(task: Task) -> list[FileResult]:
    """Judges the files of a task, where it is called: in a thread of a worker.

    Raises:
        ModelError: the model can't be used here, or isn't the one that was meant.
    """
    recognizer = _recognizer(task)
    outcomes = []
    for path in task.paths:
        there = str(Path(task.folder) / path)  # a worker has a folder of its own
        outcome = judged(recognizer, there, task.timeline, lambda done, total: None)
        named = tuple(replace(prediction, path=path) for prediction in outcome.predictions)
        problem = outcome.problem and outcome.problem.replace(there, path, 1)
        warnings = tuple(warning.replace(there, path, 1) for warning in outcome.warnings)
        outcomes.append(FileResult(named, problem, warnings))
    return outcomes


class _Call:
    """Whose pickle is the call of `predict_task`."""

    def __init__(self, task: Task):
        self._task = task

    def __reduce__(self) -> tuple[Callable[[Task], list[FileResult]], tuple[Task]]:
        return predict_task, (self._task,)


def _outcomes(future: "Future[list[FileResult]]", task: Task) -> list[FileResult]:
    """A finished task's."""
    from distributed import KilledWorker

    try:
        outcomes: list[FileResult] = future.result()
    except KilledWorker:
        others = "" if len(task.paths) == 1 else f", or of one of the {len(task.paths) - 1} files that went with it"
        return [FileResult((), f"{path}: several workers died of it{others}; judge it alone") for path in task.paths]
    except ImportError as e:
        raise RuntimeUnavailable(f"a worker has no ser-edge ({e}); install it there as here") from e
    return outcomes


def _recognizer(task: Task) -> Recognizer:
    """This thread's, opened when the first task needs it."""
    made: tuple[RecognizerConfig, str, Recognizer] | None = getattr(_mine, "made", None)
    if made is None or made[:2] != (task.setup, task.identity):
        try:
            recognizer = task.setup.build()
        except ModelError as e:
            raise type(e)(f"{_here()}: {e}") from e
        if _identity(recognizer.metadata) != task.identity:
            raise ModelError(f"{_here()} has another ser-edge, or another model {task.setup.model}")
        keep_freed_memory()
        made = _mine.made = (task.setup, task.identity, recognizer)
    return made[2]


def _here() -> str:
    from distributed import get_worker

    return f"the worker {get_worker().address}"


def _identity(metadata: ModelMetadata) -> str:
    """What must be the same for the answers to be the same: the program and the model."""
    return sha256(f"{__version__} {metadata.to_json()}".encode()).hexdigest()
