"""How predictions are printed: a class for each format, and the table that names them."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TextIO

from ser_edge.errors import printable
from ser_edge.models.metadata import ModelMetadata
from ser_edge.recognition.prediction import NO_SPEECH, UNCERTAIN, Prediction, round_ratio


class Sink(Protocol):
    """Where predictions go: a writer, the live view, an MQTT broker."""

    def write(self, prediction: Prediction) -> None:
        """Takes one prediction."""

    def close(self) -> None:
        """Writes what was held back."""


class Writer(Sink):
    """A sink that prints to a stream; what `write` and `close` print is flushed when they return.

    Args:
        out: the stream; stays open.
        metadata: of the model that predicts; its labels are the columns.
        windows: each input gives several predictions, so their times are printed.
    """

    def __init__(self, out: TextIO, metadata: ModelMetadata, windows: bool = False):
        self._out = out


class TextWriter(Writer):
    """For people: the time of a window, emotion, confidence, a bar, the second likeliest emotion, the file."""

    BAR = 10  # characters

    def __init__(self, out: TextIO, metadata: ModelMetadata, windows: bool = False):
        super().__init__(out, metadata, windows)
        self._windows = windows
        self._width = max(map(len, (*metadata.labels, UNCERTAIN, NO_SPEECH)))

    def write(self, prediction: Prediction) -> None:
        """One line, aligned with the others."""
        time = f"{_clock(prediction.start)}-{_clock(prediction.end)}" if self._windows else ""
        label, path = f"{prediction.label:{self._width}}", printable(prediction.path or "")
        columns = [time, label, self._confidence(prediction), path]
        print("  ".join(filter(None, columns)).rstrip(), file=self._out, flush=True)

    def _confidence(self, prediction: Prediction) -> str:
        first, second = sorted(prediction.probabilities.items(), key=lambda item: -item[1])[:2]
        bar = "#" * int(printed_ratio(first[1]) * self.BAR + 0.5)  # equal figures have equal bars
        # The label is the likeliest emotion already, unless it is `uncertain`.
        word, (other, probability) = ("like", first) if prediction.label == UNCERTAIN else ("then", second)
        text = f"{percent(first[1]):>5}  {bar:.<{self.BAR}}  {word} {other:{self._width}} {percent(probability):>5}"
        return " " * len(text) if prediction.label == NO_SPEECH else text


class JsonWriter(Writer):
    """JSON lines: one object a line, the fields of `Prediction`."""

    def write(self, prediction: Prediction) -> None:
        """One object."""
        print(json_line(prediction), file=self._out, flush=True)


class CsvWriter(Writer):
    """CSV with a header: path, start, end, label, confidence, speech, then a column for each label's probability."""

    def __init__(self, out: TextIO, metadata: ModelMetadata, windows: bool = False):
        super().__init__(out, metadata, windows)
        self._csv = csv.writer(out, lineterminator="\n")
        self._csv.writerow(["path", "start", "end", "label", "confidence", "speech", *metadata.labels])

    def write(self, prediction: Prediction) -> None:
        """One row; what is None is empty."""
        p = prediction
        numbers = map(round_ratio, (p.confidence, p.speech, *p.probabilities.values()))
        self._csv.writerow([p.path, p.start, p.end, p.label, *numbers])
        self._out.flush()


@dataclass(frozen=True)
class _Cue:
    """A subtitle: equal labels in a row. Times in milliseconds, the unit of the format."""

    begin: int
    end: int
    label: str
    confidences: tuple[float, ...]

    def continues(self, earlier: "_Cue") -> bool:
        fits = self.end - earlier.begin <= SrtWriter.LONGEST
        return fits and (self.begin, self.label) == (earlier.end, earlier.label)

    def __str__(self) -> str:
        mean = sum(self.confidences) / len(self.confidences)
        text = self.label if self.label == UNCERTAIN else f"{self.label} {percent(mean)}"
        return f"{_timecode(self.begin)} --> {_timecode(self.end)}\n{text}\n"


class SrtWriter(Writer):
    """SubRip subtitles of one input, for a video player; nothing is shown where nobody speaks.

    Windows overlap and subtitles must not, so a cue lasts from the end of the window before to the end of its own.
    Equal labels in a row share a cue, with their mean confidence, up to `LONGEST`, so that a stream's cues aren't held
    back any longer.
    """

    LONGEST = 5000  # ms; only a single window may be longer

    def __init__(self, out: TextIO, metadata: ModelMetadata, windows: bool = False):
        super().__init__(out, metadata, windows)
        self._covered = 0  # ms: end of the windows so far
        self._cues = 0
        self._pending: _Cue | None = None

    def write(self, prediction: Prediction) -> None:
        """Prints the cue before, unless this prediction continues it."""
        begin, end = max(self._covered, round(1000 * prediction.start)), round(1000 * prediction.end)
        if end <= begin:  # adds nothing
            return
        self._covered = end
        cue = _Cue(begin, end, prediction.label, (prediction.confidence,))
        if self._pending and cue.continues(self._pending):
            self._pending = _Cue(self._pending.begin, end, cue.label, self._pending.confidences + cue.confidences)
            return
        self.close()
        self._pending = None if prediction.label == NO_SPEECH else cue

    def close(self) -> None:
        """Prints the last cue."""
        if self._pending:
            self._cues += 1
            print(f"{self._cues}\n{self._pending}", file=self._out, flush=True)
        self._pending = None


def json_line(prediction: Prediction) -> str:
    """A prediction as a JSON object; non-ASCII paths are escaped, so any reader takes them."""
    return json.dumps(prediction.to_dict())


def percent(ratio: float, digits: int = 0) -> str:
    """A ratio as text, in percent.

    >>> percent(0.684), percent(1 / 8, digits=1)
    ('68 %', '12.5 %')
    """
    return f"{100 * ratio:.{digits}f} %"


def printed_ratio(ratio: float) -> float:
    """The ratio that `percent` prints; bars are drawn from it, so that equal figures have equal bars.

    >>> printed_ratio(0.8462) == printed_ratio(0.8537) == 0.85
    True
    """
    return float(f"{100 * ratio:.0f}") / 100


def _clock(seconds: float) -> str:
    """mm:ss.s; minutes go on counting after the hour."""
    minutes, tenths = divmod(round(10 * seconds), 600)
    return f"{minutes:02}:{tenths / 10:04.1f}"


def _timecode(milliseconds: int) -> str:
    """HH:MM:SS,mmm, as SubRip wants it."""
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{milliseconds:03}"


WRITERS: dict[str, Callable[..., Writer]] = {"text": TextWriter, "json": JsonWriter, "csv": CsvWriter, "srt": SrtWriter}
