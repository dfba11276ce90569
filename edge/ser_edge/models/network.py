"""Opens a model file and answers for a sound: front-end, normalisation, network, temperature, in that order.

A model is for any number of threads, and survives a fork (`runtimes`). A pickled one is the place of its file, which is
opened again where it arrives; the digest of the file goes with it, so that no other file answers in its stead. The last
one that arrived stays open, since a process of a pool gets the same one again with each of its tasks.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import index
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge.audio.formats import AUDIO_SUFFIXES
from ser_edge.audio.sound import Samples
from ser_edge.errors import ModelError, RuntimeUnavailable
from ser_edge.features.frontend import Features, FrontEnd
from ser_edge.models.container import metadata_in, model_bytes
from ser_edge.models.metadata import ModelMetadata, apply_temperature
from ser_edge.models.runtimes.base import RUNTIMES, Runtime, reason

__all__ = ["BUNDLED", "DEFAULT", "Model"]

_AT_ONCE = 16  # windows; more need more memory and are no faster
_ROUNDING = 0.1  # of probabilities that are int8, and of their sum

BUNDLED = Path(__file__).parent / "bundled"
DEFAULT = "crnn"

_warned: dict[str, object] = {}
_arrived: "tuple[tuple[Path, int, str], Model] | None" = None  # the last that was pickled, and what it was


class Model:
    """A network, ready to answer.

    Args:
        name: a bundled model ("crnn" for the first format whose runtime is there, "crnn.onnx" for this one), or the
            path of a model file.
        threads: threads the runtime may use for one inference; more than one rarely pays for networks this small.

    Raises:
        ModelError: no such model, or a file that can't be used.
        TypeError: neither a name nor a path.
        ValueError: less than one thread.
    """

    def __init__(self, name: "str | PathLike[str]" = DEFAULT, threads: int = 1):
        if not isinstance(name, str | PathLike):
            raise TypeError(f"a model is a name or a path, not {type(name).__name__}; the sound goes into predict(...)")
        if isinstance(threads, bool) or not hasattr(threads, "__index__") or threads < 1:
            raise ValueError(f"threads={threads!r}: must be a whole number, 1 or more")
        self._threads = index(threads)
        self.path, self._content, self.metadata, self._runtime = _open_first(_find(name), self._threads)
        self._place = self.path.absolute()  # wherever this process works later
        self.front_end = FrontEnd(self.metadata.features)
        self._check()

    def __deepcopy__(self, memo: Any) -> "Model":
        """Itself: nothing in it changes."""
        return self

    def __reduce__(self) -> "tuple[Callable[..., Model], tuple[str, bool, int, str]]":
        bundled = self._place.parent == BUNDLED
        return _arriving, (str(self._place.name if bundled else self._place), bundled, self._threads, self._digest())

    def _digest(self) -> str:
        from hashlib import blake2b  # who pickles nothing needs none

        return blake2b(self._content, digest_size=16).hexdigest()

    def features(self, samples: Samples) -> Features:
        """(samples,) at the model's rate to (frames, coefficients), as the front-end gives them."""
        return self.front_end(samples)

    def predict_proba(self, samples: Samples) -> npt.NDArray[np.float32]:
        """(samples,) at the model's rate, of any length, to (labels,): the mean of the answers for all its windows.

        Raises:
            ModelError: the network takes something else, or answers no probabilities.
        """
        windows = self.front_end.windows(samples)
        parts = [self.probabilities(windows[i : i + _AT_ONCE]) for i in range(0, len(windows), _AT_ONCE)]
        answer: npt.NDArray[np.float32] = np.concatenate(parts).mean(axis=0)
        return answer

    def probabilities(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(batch, frames, coefficients) to (batch, labels), each row calibrated and summing to 1.

        Raises:
            ModelError: the network takes something else, or answers no probabilities.
        """
        answers = self._answers(features)
        if self.metadata.temperature != 1.0:
            return apply_temperature(answers, self.metadata.temperature)
        return answers

    def _answers(self, features: npt.NDArray[np.float32], advice: str = "try again") -> npt.NDArray[np.float32]:
        """(batch, frames, coefficients) to (batch, labels), as the network gives them."""
        labels = len(self.metadata.labels)
        try:
            answers = self._runtime.run(self.metadata.inputs(features))
        except Exception as e:  # each runtime has exceptions of its own
            raise ModelError(f"{self.path}: {self._runtime.name} failed ({reason(e)}); {advice}") from e
        if np.shape(answers) != (len(features), labels) or answers.dtype.kind != "f":
            raise ModelError(f"{self.path}: {labels} labels are described, the network answers {np.shape(answers)}")
        if not np.isfinite(answers).all():
            raise ModelError(f"{self.path}: the network answered NaN; export it again")
        return answers

    def _check(self) -> None:
        """A description that doesn't fit its network would answer wrongly, and in silence."""
        config = self.metadata.features
        features = self.features(np.zeros(config.samples or config.sample_rate, np.float32))[None]
        takes = self._runtime.takes
        if takes and not _fits(self.metadata.inputs(features).shape, takes):
            sizes = ", ".join("any" if size is None else str(size) for size in takes)
            raise ModelError(
                f"{self.path}: the network doesn't take what its description says "
                f"(it takes ({sizes}), described are {features.shape}); export it again"
            )
        answer = self._answers(features, advice="export it again")
        if answer.min() < -_ROUNDING or abs(answer.sum() - 1) > _ROUNDING:
            raise ModelError(f"{self.path}: the network answers no probabilities; end it with a softmax")


def _fits(shape: Sequence[int], takes: Sequence[int | None]) -> bool:
    return len(shape) == len(takes) and all(b in (None, a) for a, b in zip(shape, takes, strict=True))


def _open(path: Path, threads: int) -> tuple[Path, bytes, ModelMetadata, Runtime]:
    """A stranger's file: it is read, and what it says of itself understood, before a runtime gets it."""
    content = model_bytes(path)
    metadata = ModelMetadata.from_json(metadata_in(content, path), str(path))
    return path, content, metadata, RUNTIMES[path.suffix](content, str(path), threads)


def _open_first(paths: Sequence[Path], threads: int) -> tuple[Path, bytes, ModelMetadata, Runtime]:
    """The first whose runtime is there; if it isn't the first of all, the log says so."""
    first, *others = paths
    try:
        return _open(first, threads)
    except RuntimeUnavailable as unavailable:
        for other in others:
            with suppress(RuntimeUnavailable):
                opened = _open(other, threads)
                _warn(f"{unavailable}; {other.name} answers meanwhile")
                return opened
        raise


def _arriving(place: str, bundled: bool, threads: int, digest: str) -> Model:
    """What was pickled, opened in this process.

    Raises:
        ModelError: its file isn't there, or is another one by now.
    """
    global _arrived
    path = BUNDLED / place if bundled else Path(place)
    wanted, last = (path, threads, digest), _arrived  # two threads may open it twice, and no harm done
    if last is not None and last[0] == wanted:
        return last[1]
    if not path.is_file():
        raise ModelError(f"{path}: the model file of a pickled recognizer is gone; put it back, or make it anew")
    model = Model(path, threads)
    if model._digest() != digest:
        why = "this is another version of ser-edge" if bundled else "the file was changed"
        raise ModelError(f"{path}: not the model that was pickled: {why}; make the recognizer anew")
    _arrived = (wanted, model)
    return model


def _warn(message: str) -> None:
    """Once, however many recognizers judge a folder."""
    mine = object()
    if _warned.setdefault(message, mine) is not mine:
        return
    import logging  # 5 ms that nobody else needs

    logging.getLogger(__name__).warning(message)


def _find(name: "str | PathLike[str]") -> list[Path]:
    """A path, or a bundled model's: one file where the name says the format, else all, the best first.

    A file that is there comes before a bundled one of the same name.
    """
    if Path(name).suffix in RUNTIMES:
        with suppress(OSError):  # a name too long to be one; opening it says so
            if Path(name).is_file():
                return [Path(name)]
    bundled = {path.name: path for path in BUNDLED.iterdir() if path.suffix in RUNTIMES}
    if found := [bundled[file] for file in (str(name), *(f"{name}{suffix}" for suffix in RUNTIMES)) if file in bundled]:
        return found
    if Path(name).suffix.lower() in AUDIO_SUFFIXES:
        kinds = " or ".join(RUNTIMES)
        raise ModelError(f"{name}: a sound, not a model file ({kinds}); it goes into Recognizer().predict(...)")
    if Path(name).suffix in RUNTIMES or len(Path(name).parts) > 1:
        return [Path(name)]
    raise ModelError(f"no model called {name}; bundled: {', '.join(sorted(bundled))}; or give the path of a model file")
