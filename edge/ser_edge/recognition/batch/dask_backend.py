"""Many files on many machines: a Dask cluster's workers classify, results come in the order of the files.

Only paths and results travel: workers read the same files under the same paths. A task is a few files, and is repeated
on another worker when its own is lost. A worker with another model or version of ser-edge is refused, as its results
would differ from this machine's.
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
from ser_edge.errors import AudioError, ModelError, RuntimeUnavailable, SerEdgeError
from ser_edge.errors.install_hints import install_extra
from ser_edge.errors.native_stderr import keep_freed_memory
from ser_edge.errors.user_warnings import warn
from ser_edge.models.metadata import ModelMetadata
from ser_edge.recognition.batch.tasks import FileResult, classify_file, group_files, map_ordered

if TYPE_CHECKING:
    from distributed import Client, Future

    from ser_edge.recognition.recognizer import Recognizer, RecognizerConfig

CONNECT_TIMEOUT = 10.0  # seconds, for a Dask scheduler to answer
_MAX_IN_FLIGHT = 256  # tasks: two for each of 128 threads
_thread = local()  # of each thread of a worker: `built`, a recognizer and what it was built for


@dataclass(frozen=True)
class _Task:
    """A few files, and how to classify them. Unpickling its `_Call` is classifying them."""

    paths: tuple[str, ...]  # as they were given
    folder: str  # which they are relative to
    timeline: bool
    config: "RecognizerConfig"
    identity: str  # of the model and the version that must classify them


@contextmanager
def cluster_client(address: str) -> Iterator["Client"]:
    """Connects to a Dask cluster by the address of its scheduler, like tcp://host:8786.

    Raises:
        RuntimeUnavailable: distributed doesn't load.
        SerEdgeError: no scheduler answers there.
    """
    try:
        from distributed import Client
    except ImportError as e:
        message = f"distributed can't be loaded ({e}); try: {install_extra('cluster')}"
        raise RuntimeUnavailable(message, code="extra-missing") from e
    try:
        if not re.fullmatch(r"((tcp|tls|wss?)://)?[^/\s]+:\d+", address):  # Dask waits forever for some others
            raise ValueError("an address is like tcp://host:8786")
        client = Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError, TypeError, ValueError) as e:
        reason = " ".join(str(e).split())
        message = f"--cluster {address}: no Dask scheduler answers there ({reason}); start: dask scheduler"
        raise SerEdgeError(message, code="cluster-unreachable") from e
    log = logging.getLogger("distributed.client")
    before = log.level
    log.setLevel(logging.CRITICAL)  # a lost scheduler is reported in one line, without distributed's tracebacks
    try:
        with client:
            yield client
    finally:
        log.setLevel(before)


def predict_in_cluster(
    client: "Client", config: "RecognizerConfig", metadata: ModelMetadata, paths: Iterable[str], timeline: bool = False
) -> Generator[FileResult, None, None]:
    """Classifies files on the workers of a cluster.

    Args:
        client: of the cluster.
        config: of the workers' recognizers.
        metadata: of the model here, which the workers' must equal.
        paths: of the files; taken as they are needed.
        timeline: predict each window of a file, not the file as a whole.

    Yields:
        The result of each file, in the order of `paths`.

    Raises:
        ModelError: a worker can't use the model, or has another one.
        RuntimeUnavailable: a worker has no ser-edge.
        SerEdgeError: the connection to the scheduler is lost.
    """
    from distributed import CancelledError

    if Path(config.model).suffix and Path(config.model).is_file():  # not the name of a bundled one
        config = replace(config, model=str(Path(config.model).resolve()))
    folder, identity = str(Path.cwd()), _identity(metadata)
    tasks: dict[Any, _Task] = {}  # by the key of their future

    def submit(group: tuple[str, ...]) -> "Future[list[FileResult]]":
        task = _Task(group, folder, timeline, config, identity)
        # Only bytes are sent, and loading them is the work: a module that a worker lacks is then an error of the task.
        # A function of ours would be imported as the worker reads its messages, and failing there would kill it.
        future: Future[list[FileResult]] = client.submit(pickle.loads, pickle.dumps(_Call(task)), pure=False)
        tasks[future.key] = task
        return future

    try:
        if not client.nthreads():  # type: ignore[no-untyped-call]
            warn("no worker yet, waiting: dask worker")
        with closing(map_ordered(submit, group_files(paths), _MAX_IN_FLIGHT)) as futures:
            for future in futures:
                yield from _results(future, tasks.pop(future.key))
    except (CancelledError, OSError) as e:
        raise SerEdgeError("the Dask scheduler is gone; run the same command again", code="cluster-lost") from e


def _results(future: "Future[list[FileResult]]", task: _Task) -> list[FileResult]:
    """The results of a finished task."""
    from distributed import KilledWorker

    try:
        results: list[FileResult] = future.result()
    except KilledWorker:
        others = "" if len(task.paths) == 1 else f" or one of the {len(task.paths) - 1} files in the same task"
        reason = f"several workers died while classifying it{others}; classify it alone"
        return [FileResult(path, (), AudioError(f"{path}: {reason}", code="audio-kills-worker")) for path in task.paths]
    except ImportError as e:
        message = f"a worker has no ser-edge ({e}); install it there as here"
        raise RuntimeUnavailable(message, code="worker-without-ser-edge") from e
    return results


class _Call:
    """Unpickles as the result of `_classify_task`."""

    def __init__(self, task: _Task):
        self._task = task

    def __reduce__(self) -> tuple[Callable[[_Task], list[FileResult]], tuple[_Task]]:
        return _classify_task, (self._task,)


def _classify_task(task: _Task) -> list[FileResult]:
    """Classifies the files of a task, in a thread of a worker.

    Raises:
        ModelError: the model can't be used here, or is another one.
    """
    recognizer = _recognizer(task)
    results = []
    for path in task.paths:
        local_path = str(Path(task.folder) / path)  # a worker has its own working directory
        result = classify_file(recognizer, local_path, task.timeline)
        predictions = tuple(replace(prediction, path=path) for prediction in result.predictions)
        error = result.error and AudioError(str(result.error).replace(local_path, path, 1), code=result.error.code)
        warnings = tuple(warning.replace(local_path, path, 1) for warning in result.warnings)
        results.append(FileResult(path, predictions, error, warnings, result.seconds))
    return results


def _recognizer(task: _Task) -> "Recognizer":
    """This thread's recognizer, built for its first task."""
    built: tuple[RecognizerConfig, str, Recognizer] | None = getattr(_thread, "built", None)
    if built is None or built[:2] != (task.config, task.identity):
        try:
            recognizer = task.config.build()
        except ModelError as e:
            raise type(e)(f"{_worker_name()}: {e}", code=e.code) from e
        if _identity(recognizer.metadata) != task.identity:
            message = f"{_worker_name()} has another ser-edge, or another model {task.config.model}"
            raise ModelError(message, code="worker-mismatch")
        keep_freed_memory()
        built = _thread.built = (task.config, task.identity, recognizer)
    return built[2]


def _worker_name() -> str:
    from distributed import get_worker

    return f"the worker {get_worker().address}"


def _identity(metadata: ModelMetadata) -> str:
    """What must be equal for the results to be equal: the version of ser-edge and the model."""
    return sha256(f"{__version__} {metadata.to_json()}".encode()).hexdigest()
