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
    time: str | None = None  # of `end`, by the clock on the wall, in ISO 8601 with its offset; only of live sound

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

    def at_time(self, seconds: float) -> "Prediction":
        """The same, with the time of its end: seconds since the epoch, as of `time.time`.

        >>> Prediction("microphone", 0.0, 3.0, "sad", 1.0, {"sad": 1.0}).at_time(0.5).time[16:23]
        ':00.500'
        """
        from datetime import datetime  # only for live sound

        return replace(self, time=datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="milliseconds"))
