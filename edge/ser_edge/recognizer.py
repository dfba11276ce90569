"""The public face: `Recognizer().predict(path or array)` gives a `Prediction`."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy.typing as npt

from ser_edge import audio
from ser_edge.description import ModelDescription
from ser_edge.model import DEFAULT, Model

__all__ = ["UNCERTAIN", "Prediction", "Recognizer"]

UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class Prediction:
    """The answer for one sound."""

    path: str | None  # as it was given; None for an array
    start: float  # seconds, of what was judged
    end: float  # seconds
    label: str  # the likeliest emotion, or `uncertain` where its probability is below the threshold
    confidence: float  # probability of the likeliest emotion, 0..1
    probabilities: dict[str, float]  # every label's, in the model's order; sums to 1


class Recognizer:
    """Hears which emotion a voice carries. Opens its model once; keep it for many sounds.

    Args:
        model: a bundled model's name, or the path of an .onnx or .tflite file made by ser-export.
        threads: threads for one inference.
        threshold: confidence, 0..1, below which the label is `uncertain`; 0 always names an emotion, None is what the
            model file says.

    Raises:
        ModelError: no such model, or one that can't be used.
    """

    def __init__(self, model: str | Path = DEFAULT, threads: int = 1, threshold: float | None = None):
        self._model = Model(model, threads)
        self._threshold = self.description.threshold if threshold is None else threshold

    @property
    def description(self) -> ModelDescription:
        """What the model file says of itself: labels, front-end, measured accuracy."""
        return self._model.description

    def predict(self, source: str | Path | BinaryIO | npt.ArrayLike, sample_rate: int | None = None) -> Prediction:
        """Judges one sound.

        Args:
            source: the path of a sound file, a binary file object that holds one, or an array of (samples,) or
                (samples, channels).
            sample_rate: Hz of an array; files say theirs.

        Returns:
            The prediction. It covers what the model listens to, `start` to `end`: the whole sound where its front-end
            finds the speech by itself, else as much of the beginning as the network takes.

        Raises:
            AudioError: nothing there that can be judged.
            TypeError: an array without a sample rate.

        >>> import numpy as np
        >>> hum = np.sin(np.arange(16_000) / 20)
        >>> Recognizer().predict(hum, sample_rate=16_000).end
        1.0
        """
        features = self.description.features
        seconds = features.seconds if features.span_db is None else None
        if isinstance(source, str | Path) or hasattr(source, "read"):
            samples = audio.read(cast("str | Path | BinaryIO", source), features.sample_rate, seconds)
        elif sample_rate is None:
            raise TypeError("an array needs its sample rate: predict(array, sample_rate=...)")
        else:
            samples = audio.from_array(source, sample_rate, features.sample_rate, seconds)
        probabilities = self._model.judge(samples)
        best = int(probabilities.argmax())
        return Prediction(
            path=str(source) if isinstance(source, str | Path) else None,
            start=0.0,
            end=round(len(samples) / features.sample_rate, 3),
            label=self.description.labels[best] if probabilities[best] >= self._threshold else UNCERTAIN,
            confidence=float(probabilities[best]),
            probabilities=dict(zip(self.description.labels, map(float, probabilities), strict=True)),
        )
