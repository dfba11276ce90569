"""An answer: what `Recognizer` gives, and what a writer prints."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["NO_SPEECH", "UNCERTAIN", "Prediction"]

NO_SPEECH = "no-speech"
UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class Prediction:
    """The answer for one sound, or for one window of a longer one."""

    path: str | None  # as it was given; None for an array
    start: float  # seconds, of what was judged
    end: float  # seconds
    label: str  # the likeliest emotion; `uncertain` where its probability is below the threshold; or `no-speech`
    confidence: float  # probability of the likeliest emotion, 0..1; 0 where nobody speaks
    probabilities: dict[str, float]  # every label's, in the model's order; they sum to 1, or are 0 where nobody speaks
    speech: float | None = None  # share of it with speech, 0..1; None where the gate wasn't asked

    @classmethod
    def of(
        cls,
        labels: Sequence[str],
        probabilities: npt.NDArray[np.float32] | None,
        threshold: float,
        path: str | None,
        start: float,
        end: float,
        speech: float | None = None,
    ) -> "Prediction":
        """From (labels,) probabilities; None where nobody speaks. Times are rounded to the millisecond."""
        confidence = 0.0 if probabilities is None else float(probabilities.max())
        if probabilities is None:
            label, values = NO_SPEECH, [0.0] * len(labels)
        else:
            label = labels[int(probabilities.argmax())] if confidence >= threshold else UNCERTAIN
            values = list(map(float, probabilities))
        named = dict(zip(labels, values, strict=True))
        share = None if speech is None else round(speech, 3)
        return cls(path, round(start, 3), round(end, 3), label, confidence, named, share)
