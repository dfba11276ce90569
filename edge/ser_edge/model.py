"""Opens a model file and answers for a sound: front-end, normalisation, network, temperature, in that order."""

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser_edge.audio import Samples
from ser_edge.description import ModelDescription, tempered
from ser_edge.errors import ModelError, RuntimeUnavailable
from ser_edge.features import Features, FrontEnd
from ser_edge.runtimes import RUNTIMES, Runtime, open_runtime

__all__ = ["BUNDLED", "DEFAULT", "Model"]

_AT_ONCE = 16  # windows; more need more memory and are no faster

BUNDLED = Path(__file__).parent / "models"
DEFAULT = "crnn"


class Model:
    """A network, ready to answer.

    Args:
        name: a bundled model ("crnn" for the first format whose runtime is there, "crnn.onnx" for this one), or the
            path of a model file.
        threads: threads the runtime may use for one inference; more than one rarely pays for networks this small.

    Raises:
        ModelError: no such model, or a file that can't be used.
    """

    def __init__(self, name: str | Path = DEFAULT, threads: int = 1):
        self.path, self._runtime = _open(_find(name), threads)
        self.description = ModelDescription.from_json(self._runtime.description(), str(self.path))
        self.front_end = FrontEnd(self.description.features)
        self._check()

    def features(self, samples: Samples) -> Features:
        """(samples,) at the model's rate to (frames, coefficients), as the front-end gives them."""
        return self.front_end(samples)

    def judge(self, samples: Samples) -> npt.NDArray[np.float32]:
        """(samples,) at the model's rate, of any length, to (labels,): the mean of the answers for all its windows.

        Raises:
            ModelError: the network answered something that isn't finite.
        """
        windows = self.front_end.windows(samples)
        parts = [self.probabilities(windows[i : i + _AT_ONCE]) for i in range(0, len(windows), _AT_ONCE)]
        answer: npt.NDArray[np.float32] = np.concatenate(parts).mean(axis=0)
        return answer

    def probabilities(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(batch, frames, coefficients) to (batch, labels), each row calibrated and summing to 1.

        Raises:
            ModelError: the network answered something that isn't finite.
        """
        answers = self._runtime.run(self.description.inputs(features))
        if not np.isfinite(answers).all():
            raise ModelError(f"{self.path}: the network answered NaN; export it again")
        if self.description.temperature != 1.0:
            return tempered(answers, self.description.temperature)
        return answers

    def _check(self) -> None:
        """A description that doesn't fit its network would answer wrongly, and in silence."""
        config, labels = self.description.features, self.description.labels
        try:
            answer = self.probabilities(self.features(np.zeros(config.samples or config.sample_rate, np.float32))[None])
        except ModelError:
            raise
        except Exception as e:  # each runtime has exceptions of its own
            reason = " ".join(str(e).split())  # some are several lines
            raise ModelError(f"{self.path}: the network doesn't take what its description says ({reason})") from e
        if answer.shape != (1, len(labels)):
            raise ModelError(f"{self.path}: {len(labels)} labels are described, the network answers {answer.shape}")


def _open(paths: Sequence[Path], threads: int) -> tuple[Path, Runtime]:
    """The first whose runtime is there; if it isn't the first of all, the log says so."""
    first, *others = paths
    try:
        return first, open_runtime(first, threads)
    except RuntimeUnavailable as unavailable:
        for other in others:
            with suppress(RuntimeUnavailable):
                runtime = open_runtime(other, threads)
                _warn(f"{unavailable}; {other.name} answers meanwhile")
                return other, runtime
        raise


@cache  # once, however many recognizers judge a folder
def _warn(message: str) -> None:
    import logging  # 5 ms that nobody else needs

    logging.getLogger(__name__).warning(message)


def _find(name: str | Path) -> list[Path]:
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
    if Path(name).suffix in RUNTIMES or len(Path(name).parts) > 1:
        return [Path(name)]
    raise ModelError(f"no model called {name}; bundled: {', '.join(sorted(bundled))}; or give the path of a model file")
