"""What the bundled models cost on this machine, and which of them suits it: for `ser-edge --doctor`."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from ser_edge.audio.sound import Samples
from ser_edge.models.integrity import synthetic_voice
from ser_edge.recognition.recognizer import Recognizer
from ser_edge.recognition.windows import HOP, WindowConfig

MAX_LOAD = 1 / 3  # of a core: a slower moment, or another program, then costs no window
_WINDOWS = 8  # measured together: Windows counts CPU time in steps of 16 ms


@dataclass(frozen=True)
class ModelCost:
    """What live sound costs with a bundled model."""

    model: str  # its alias
    seconds: float  # of CPU time for a window: everything for the sound since the one before, and the network

    @property
    def load(self) -> float:
        """The part of a core that a window every half second keeps busy."""
        return self.seconds / HOP

    def __str__(self) -> str:
        """The figures.

        >>> print(ModelCost("small", 0.0021))
        2.1 ms of CPU time for a live window, 0.4 % of a core
        """
        return f"{1000 * self.seconds:.1f} ms of CPU time for a live window, {100 * self.load:.1f} % of a core"


def measure_cost(model: str) -> ModelCost:
    """Runs a bundled model on a synthetic voice, as live: full windows of speech, with the voice detector.

    Raises:
        ModelError: it can't be used, or its runtime isn't installed.
    """
    recognizer = Recognizer(model, windowing=WindowConfig(min_speech_ratio=0.0))
    rate = recognizer.metadata.features.sample_rate
    stream = recognizer.create_stream(rate)
    pieces = _pieces(rate)
    while not stream.accept_block(next(pieces)):  # the first window: it allocates memory
        pass
    began, done = time.process_time(), 0
    while done < _WINDOWS:
        done += len(stream.accept_block(next(pieces)))
    return ModelCost(model, (time.process_time() - began) / done)


def recommend(costs: Sequence[ModelCost]) -> tuple[str, str]:
    """The alias of the most accurate model that leaves two thirds of a core to others, or of the last; and why.

    Args:
        costs: at least one, the most accurate model's first.

    >>> recommend([ModelCost("accurate", 0.2), ModelCost("small", 0.02)])
    ('small', 'as accurate takes 40 % of a core, more than a third')
    """
    if len(costs) == 1:
        return costs[0].model, "the only one that works here"
    heavy = [cost for cost in costs[:-1] if cost.load > MAX_LOAD]
    best = next(cost for cost in costs if cost not in heavy)
    reasons = [f"{cost.model} takes {100 * cost.load:.0f} % of a core" for cost in heavy]
    if reasons:
        return best.model, f"as {' and '.join(reasons)}, more than a third"
    return best.model, "the most accurate, as it takes less than a third of a core"


def _pieces(rate: int) -> Iterator[Samples]:
    """A voice that goes on, in pieces of half a second."""
    voice = synthetic_voice(rate)
    yield from cycle(np.split(voice, round(len(voice) / rate / HOP)))
