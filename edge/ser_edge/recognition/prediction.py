"""`Prediction`: the answer that `Recognizer` gives and writers print."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

NO_SPEECH = "no-speech"
UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class Prediction:
    """The answer for one sound, or for one window of a longer one."""

    path: str | None  # as it was given; None for an array
    start: float  # seconds
    end: float  # seconds
    label: str  # the likeliest emotion; `uncertain` if its probability is below the threshold; or `no-speech`
    confidence: float  # probability of the likeliest emotion, 0..1; 0 for `no-speech`
    probabilities: dict[str, float]  # of every label, in the metadata's order; they sum to 1, or are 0 for `no-speech`
    speech: float | None = None  # ratio of speech, 0..1; None without voice activity detection

    def with_threshold(self, threshold: float | None) -> "Prediction":
        """The same with another threshold, below which the label is `uncertain`; None keeps the label."""
        if threshold is None or self.label == NO_SPEECH:
            return self
        likeliest = max(self.probabilities, key=self.probabilities.__getitem__)
        return replace(self, label=likeliest if self.confidence >= threshold else UNCERTAIN)

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
        """From (labels,) probabilities; None for no speech. Times are rounded to the millisecond."""
        confidence = 0.0 if probabilities is None else float(probabilities.max())
        if probabilities is None:
            label, values = NO_SPEECH, [0.0] * len(labels)
        else:
            label = labels[int(probabilities.argmax())] if confidence >= threshold else UNCERTAIN
            values = list(map(float, probabilities))
        named = dict(zip(labels, values, strict=True))
        ratio = None if speech is None else round(speech, 3)
        return cls(path, round(start, 3), round(end, 3), label, confidence, named, ratio)
