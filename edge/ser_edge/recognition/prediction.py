"""`Prediction`: the answer that `Recognizer` gives and writers print; as a dictionary, and in a table of pandas."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ser_edge.errors import RuntimeUnavailable

if TYPE_CHECKING:
    import pandas as pd

NO_SPEECH = "no-speech"
UNCERTAIN = "uncertain"
_DIGITS = 4  # of a probability in JSON and CSV: float32 and int8 runtimes differ behind it


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

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that `ser-edge --format json` prints, as a dictionary.

        Ratios have four digits there, and `time` is only in those of live sound.
        """
        record = asdict(self)
        record["confidence"], record["speech"] = round_ratio(self.confidence), round_ratio(self.speech)
        record["probabilities"] = {label: round_ratio(p) for label, p in self.probabilities.items()}
        if self.time is None:
            del record["time"]
        return record

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

    def at_time(self, seconds: float) -> "Prediction":
        """The same, with the time of its end: seconds since the epoch, as of `time.time`.

        >>> Prediction("microphone", 0.0, 3.0, "sad", 1.0, {"sad": 1.0}).at_time(0.5).time[16:23]
        ':00.500'
        """
        from datetime import datetime  # only for live sound

        return replace(self, time=datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="milliseconds"))


def predictions_to_frame(predictions: Iterable[Prediction]) -> "pd.DataFrame":
    """A row for each prediction, in their order, with the figures as they are: `Prediction.to_dict` rounds them.

    Returns:
        A frame with the columns label, confidence, speech, and one for the probability of each label. Its index has the
        levels file (missing for arrays), start and end (`Timedelta`), so audformat takes it as a segmented index.

    Raises:
        RuntimeUnavailable: pandas isn't installed.
        TypeError: something that isn't a prediction.

    >>> from ser_edge import Recognizer
    >>> predictions_to_frame(Recognizer().predict(["tests/sounds/plain.wav"])).label.tolist()
    ['neutral']
    """
    try:
        import pandas as pd
    except ImportError as e:
        from ser_edge.errors.install_hints import install_extra

        message = f"pandas can't be loaded ({e}); try: {install_extra('pandas')}"
        raise RuntimeUnavailable(message, code="extra-missing") from e
    rows: list[Any] = [predictions] if isinstance(predictions, Prediction) else list(predictions)
    for row in rows:
        if not isinstance(row, Prediction):
            advice = "predictions_to_frame(p for result in results for p in result.predictions)"
            raise TypeError(f"{type(row).__name__}: not a prediction; for results of files type {advice}")
    labels = list(dict.fromkeys(label for row in rows for label in row.probabilities))
    index = pd.MultiIndex.from_arrays(
        [
            pd.array([row.path for row in rows], dtype=pd.StringDtype("python")),  # pyarrow's refuses some paths
            pd.to_timedelta([row.start for row in rows], unit="s").as_unit("ns"),
            pd.to_timedelta([row.end for row in rows], unit="s").as_unit("ns"),
        ],
        names=["file", "start", "end"],
    )
    columns = ["confidence", "speech", *labels]
    ratios = [[row.confidence, row.speech, *map(row.probabilities.get, labels)] for row in rows]
    frame = pd.DataFrame(np.array(ratios, np.float64).reshape(len(rows), len(columns)), index, columns)
    frame.insert(0, "label", [row.label for row in rows], allow_duplicates=True)  # of a label that is called so
    return frame


def round_ratio(value: float | None) -> float | None:
    """A ratio as it is written into JSON and CSV; None stays None."""
    return None if value is None else round(value, _DIGITS)
