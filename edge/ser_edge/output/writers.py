"""How predictions are printed: a class for each format, and the table that names them."""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol, TextIO

from ser_edge.errors import printable
from ser_edge.models.metadata import ModelMetadata
from ser_edge.recognition.prediction import NO_SPEECH, UNCERTAIN, Prediction, round_ratio


class Sink(Protocol):
    """Where predictions go: a writer, the live view, an MQTT broker."""

    def write(self, prediction: Prediction) -> None:
        """Takes one prediction."""

    def close(self) -> None:
        """Writes what was held back."""


@dataclass(eq=False)
class Writer(Sink):
    """A sink that prints to a stream; what `write` and `close` print is flushed when they return."""

    out: TextIO  # stays open
    metadata: ModelMetadata  # of the model that predicts; its labels are the columns
    windows: bool = False  # each input gives several predictions, so their times are printed
    live: bool = False  # live sound may come behind a file


class TextWriter(Writer):
    """For people: the time of a window, emotion, confidence, a bar, the second likeliest emotion, the file."""

    BAR = 10  # characters

    def write(self, prediction: Prediction) -> None:
        """One line, aligned with the others."""
        time = f"{_clock(prediction.start)}-{_clock(prediction.end)}" if self.windows else ""
        width = max(map(len, (*self.metadata.labels, UNCERTAIN, NO_SPEECH)))
        columns = [time, f"{prediction.label:{width}}", self._confidence(prediction, width)]
        columns.append(printable(prediction.path or ""))
        print("  ".join(filter(None, columns)).rstrip(), file=self.out, flush=True)

    def _confidence(self, prediction: Prediction, width: int) -> str:
        first, second = sorted(prediction.probabilities.items(), key=lambda item: -item[1])[:2]
        bar = "#" * int(printed_ratio(first[1]) * self.BAR + 0.5)  # equal figures have equal bars
        # The label is the likeliest emotion already, unless it is `uncertain`.
        word, (other, probability) = ("like", first) if prediction.label == UNCERTAIN else ("then", second)
        text = f"{percent(first[1]):>5}  {bar:.<{self.BAR}}  {word} {other:{width}} {percent(probability):>5}"
        return " " * len(text) if prediction.label == NO_SPEECH else text


class JsonWriter(Writer):
    """JSON lines: one object a line, the fields of `Prediction`; `time` is one of live sound alone."""

    def write(self, prediction: Prediction) -> None:
        """One object."""
        print(json_line(prediction), file=self.out, flush=True)


@dataclass(eq=False)
class CsvWriter(Writer):
    """CSV with a header: path, start, end, label, confidence, speech, a column for each label's probability.

    Live sound has another one, `time`. Unless it may come later, the first prediction decides whether it is there: so
    the header is written with it.
    """

    def __post_init__(self) -> None:
        self._has_header = self._has_time = False

    def write(self, prediction: Prediction) -> None:
        """One row; what is None is empty."""
        if not self._has_header:
            self._write_header(self.live or prediction.time is not None)
        p = prediction
        numbers = map(round_ratio, (p.confidence, p.speech, *p.probabilities.values()))
        self._write_row([p.path, p.start, p.end, p.label, *numbers, *[p.time] * self._has_time])
        self.out.flush()

    def close(self) -> None:
        """Writes the header where nothing was predicted."""
        if not self._has_header:
            self._write_header(has_time=False)
            self.out.flush()

    def _write_header(self, has_time: bool) -> None:
        self._has_header, self._has_time = True, has_time
        columns = ["path", "start", "end", "label", "confidence", "speech", *self.metadata.labels]
        self._write_row([*columns, *["time"] * has_time])

    def _write_row(self, values: Iterable[str | float | None]) -> None:
        print(",".join(map(_cell, values)), file=self.out)


@dataclass(frozen=True)
class _Cue:
    """A subtitle or a label: equal predictions in a row. Times in milliseconds."""

    begin: int
    end: int
    label: str
    confidences: float  # their sum
    windows: int = 1

    def joined(self, later: "_Cue") -> "_Cue":
        sums = self.confidences + later.confidences, self.windows + later.windows
        return _Cue(self.begin, later.end, self.label, *sums)

    @property
    def text(self) -> str:
        return self.label if self.label == UNCERTAIN else f"{self.label} {percent(self.confidences / self.windows)}"


@dataclass(eq=False)
class CueWriter(Writer):
    """Cues of one input, which follow each other, for players and editors; there is none where nobody speaks.

    Windows overlap and cues must not, so a cue lasts from the end of the window before to the end of its own. Equal
    labels in a row share a cue, with their mean confidence, up to `LONGEST`.
    """

    LONGEST: ClassVar[float] = (
        5000  # ms; only a single window may be longer. A stream's cues aren't held back any longer.
    )

    def __post_init__(self) -> None:
        self._covered = 0  # ms: end of the windows so far
        self._cues = 0
        self._pending: _Cue | None = None

    def write(self, prediction: Prediction) -> None:
        """Prints the cue before, unless this prediction continues it."""
        begin, end = max(self._covered, round(1000 * prediction.start)), round(1000 * prediction.end)
        if end <= begin:  # adds nothing
            return
        self._covered = end
        cue = _Cue(begin, end, prediction.label, prediction.confidence)
        last = self._pending
        if last and (last.end, last.label) == (begin, cue.label) and end - last.begin <= self.LONGEST:
            self._pending = last.joined(cue)
            return
        self.close()
        self._pending = None if prediction.label == NO_SPEECH else cue

    def close(self) -> None:
        """Prints the last cue."""
        if self._pending:
            self._cues += 1
            print(self._lines(self._pending), file=self.out, flush=True)
        self._pending = None

    def _lines(self, cue: _Cue) -> str:
        raise NotImplementedError


class SrtWriter(CueWriter):
    """SubRip subtitles, for video players."""

    def _lines(self, cue: _Cue) -> str:
        return f"{self._cues}\n{_timecode(cue.begin)} --> {_timecode(cue.end)}\n{cue.text}\n"


@dataclass(eq=False)
class VttWriter(CueWriter):
    """WebVTT subtitles, for the web: `<track>` of HTML."""

    def __post_init__(self) -> None:
        super().__post_init__()
        print("WEBVTT\n", file=self.out, flush=True)

    def _lines(self, cue: _Cue) -> str:
        text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return f"{_timecode(cue.begin, '.')} --> {_timecode(cue.end, '.')}\n{text}\n"


class AudacityWriter(CueWriter):
    """A label track of Audacity, which other editors import too: start, end and label, with tabs between them."""

    LONGEST = math.inf

    def _lines(self, cue: _Cue) -> str:
        return f"{cue.begin / 1000:.3f}\t{cue.end / 1000:.3f}\t{cue.label}"


class MergingSink(Sink):
    """Passes equal neighbouring windows on as one (`recognition.merging`)."""

    def __init__(self, sink: Sink):
        from ser_edge.recognition.merging import Merger  # only for --merge

        self._sink, self._merger = sink, Merger()

    def write(self, prediction: Prediction) -> None:
        """Writes the merged one before, unless this prediction continues it."""
        for merged in self._merger.accept(prediction):
            self._sink.write(merged)

    def close(self) -> None:
        """Writes the last one."""
        for merged in self._merger.finish():
            self._sink.write(merged)
        self._sink.close()


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


def _cell(value: str | float | None) -> str:
    """A cell, by RFC 4180. Python 3.11's csv.writer leaves a carriage return bare, which ends a row for readers."""
    text = "" if value is None else str(value)
    if any(mark in text for mark in '",\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _clock(seconds: float) -> str:
    """mm:ss.s; minutes go on counting after the hour."""
    minutes, tenths = divmod(round(10 * seconds), 600)
    return f"{minutes:02}:{tenths / 10:04.1f}"


def _timecode(milliseconds: int, point: str = ",") -> str:
    """HH:MM:SS,mmm."""
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{milliseconds:03}"


WRITERS: dict[str, Callable[..., Writer]] = {
    "text": TextWriter,
    "json": JsonWriter,
    "csv": CsvWriter,
    "srt": SrtWriter,
    "vtt": VttWriter,
    "audacity": AudacityWriter,
}
