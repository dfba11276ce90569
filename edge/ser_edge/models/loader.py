"""Finds a model file, reads and checks it, and opens it in the runtime for its format.

A pickled model is the place of its file, which is opened again where it is unpickled; a digest goes with it, so that no
other file is used.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from operator import index
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ser_edge.audio.formats import AUDIO_SUFFIXES
from ser_edge.errors import ModelError, RuntimeUnavailable
from ser_edge.models.bundled.names import ALIASES, BUNDLED, DEFAULT, FILES
from ser_edge.models.container import digest_of, read_model_file
from ser_edge.models.network import Model
from ser_edge.models.runtimes.base import RUNTIMES, Runtime

if TYPE_CHECKING:
    from ser_edge.models.labels import ChosenLabels

MAX_THREADS = 1024  # of an inference; a million end in a segmentation fault
_warned: dict[str, object] = {}


class FileModel(Model):
    """A model that was opened from a file, with a number of threads for one inference; can be pickled.

    Raises:
        ModelError: no such file, or one that can't be used.
        RuntimeUnavailable: the runtime for its format isn't installed.
    """

    def __init__(self, path: Path, threads: int):
        metadata, self._content = read_model_file(path)
        module, name = RUNTIMES[path.suffix]
        runtime: Runtime = getattr(import_module(module), name)(self._content, str(path), threads)
        super().__init__(metadata, runtime, path)
        self._absolute = path.absolute()  # whatever the working directory is later
        self.threads = threads

    def digest(self) -> str:
        """BLAKE2b of the file, 128 bits."""
        return digest_of(self._content)

    def __reduce__(self) -> "tuple[Callable[..., Model], tuple[str, bool, int, str, ChosenLabels | None]]":
        bundled = self._absolute.parent == BUNDLED
        place = self._absolute.name if bundled else str(self._absolute)
        return _unpickle, (place, bundled, self.threads, self.digest(), self._chosen)


@lru_cache(maxsize=1)  # a process of a pool gets the same model with each of its tasks
def _unpickle(place: str, bundled: bool, threads: int, digest: str, chosen: "ChosenLabels | None" = None) -> Model:
    path = BUNDLED / place if bundled else Path(place)
    if not path.is_file():
        message = f"{path}: the model file of a pickled recognizer is gone; put it back, or make the recognizer anew"
        raise ModelError(message, code="model-not-found")
    model = FileModel(path, threads)
    if model.digest() != digest:
        why = "this is another version of ser-edge" if bundled else "the file was changed"
        message = f"{path}: not the model that was pickled: {why}; make the recognizer anew"
        raise ModelError(message, code="model-changed")
    return model if chosen is None else model.with_labels(chosen)


def open_model(name: "str | PathLike[str]" = DEFAULT, threads: int = 1) -> FileModel:
    """Opens a model file.

    Args:
        name: a bundled model ("accurate" or "small", or its network's name, "whisper-gru" or "crnn", for the first
            format whose runtime is installed; "small.onnx" for this one), or the path of a model file.
        threads: for one inference; more than one rarely pays for networks this small.

    Raises:
        ModelError: no such model, or a file that can't be used.
        TypeError: neither a name nor a path.
        ValueError: less than one thread, or more than `MAX_THREADS`.
    """
    if not isinstance(name, str | PathLike):
        raise TypeError(f"a model is a name or a path, not {type(name).__name__}; the sound goes into predict(...)")
    if isinstance(threads, bool) or not hasattr(threads, "__index__") or not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"threads={threads!r}: must be a whole number, 1 to {MAX_THREADS}")
    first, *others = _find(name)
    try:
        return FileModel(first, index(threads))
    except RuntimeUnavailable as unavailable:
        for other in others:
            with suppress(RuntimeUnavailable):
                model = FileModel(other, index(threads))
                warn_once(f"{unavailable}; using {other.name} meanwhile")
                return model
        raise


def warn_once(message: str) -> None:
    """Logs a warning once per process, however many recognizers and threads there are."""
    marker = object()
    if _warned.setdefault(message, marker) is marker:
        import logging  # 5 ms

        logging.getLogger(__name__).warning(message)


def _find(name: "str | PathLike[str]") -> list[Path]:
    """The path, or the bundled model's: one if the name has a suffix, else each format, the preferred first.

    An existing file comes before a bundled one of the same name.
    """
    if Path(name).suffix in RUNTIMES:
        with suppress(OSError):  # a name that is too long; opening it says so
            if Path(name).is_file():
                return [Path(name)]
    bundled = {path.name: path for path in BUNDLED.iterdir() if path.suffix in RUNTIMES}
    stem, dot, rest = str(name).partition(".")
    network = f"{ALIASES.get(stem, stem)}{dot}{rest}"
    if found := [bundled[file] for file in (network, *(network + suffix for suffix in RUNTIMES)) if file in bundled]:
        return found
    if Path(name).suffix.lower() in AUDIO_SUFFIXES:
        message = f"{name}: a sound, not a model file ({' or '.join(RUNTIMES)}); type Recognizer().predict(...) for it"
        raise ModelError(message, code="model-not-found")
    if Path(name).suffix in RUNTIMES or len(Path(name).parts) > 1:
        return [Path(name)]
    known = ", ".join(f"{alias} ({', '.join(files)})" for alias, files in FILES.items())
    message = f"no model called {name}; bundled: {known}; or give the path of a model file"
    raise ModelError(message, code="model-not-found")
