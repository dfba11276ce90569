"""The live view of a stream on a terminal: the present emotion, its confidence, and the windows before.

`render` turns a `Picture` into lines and knows no terminal; `LiveView` paints them over the last ones and knows no
audio. Rows never change their place or number, so that the eye finds them. Plain ANSI codes: a library for them would
be larger than the rest. A terminal that can't repaint (`can_paint`) gets the text writer's lines.
"""

import functools
import itertools
import math
import os
import string
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

from ser_edge.models.metadata import ModelMetadata
from ser_edge.output.writers import percent, printed_ratio
from ser_edge.recognition.prediction import NO_SPEECH, UNCERTAIN, Prediction

_WIDEST = 80  # cells: longer bars say no more
_QUIETEST = -60.0  # dBFS, where the level's bar begins; it ends at 0
_PLAIN, _BOLD, _DIM = "", "1", "2"  # styles: what stands between ESC [ and m
_COLOURS = ("39", "36", "33", "94", "31", "35", "32", "95")  # of the labels; to be read on dark and on light ground
_ASCII = dict(zip("█▉▊▋▌▍▎▏●○·…", "#####   * -~", strict=True))


@dataclass(frozen=True)
class Picture:
    """What the view shows at one moment."""

    labels: tuple[str, ...]  # in the model's order
    prediction: Prediction | None = None  # the newest; None before the first
    history: tuple[str, ...] = ()  # the labels of the windows so far, the newest last
    level: float = -math.inf  # dBFS, of the newest audio
    status: str = ""  # of the microphone, in one line


@dataclass(frozen=True)
class Look:
    """What the terminal can display."""

    width: int  # cells of a line; a wide character takes two
    colour: bool = False  # bold and dim included
    blocks: bool = False  # block characters; otherwise everything is printed in ASCII


@dataclass(frozen=True)
class _Span:
    """Text in one style."""

    text: str
    style: str = _PLAIN


def render(picture: Picture, look: Look) -> list[str]:
    """The picture's lines, as many for every picture of a model.

    The label and its time; a row for each label; the level of the newest audio; the window's speech ratio, with a dot
    where it suffices to classify the window; the windows so far, in the letters before the labels; the status.

    >>> newest = Prediction(None, 1.0, 4.0, "happy", 0.75, {"calm": 0.25, "happy": 0.75}, 1.0)
    >>> for line in render(Picture(("calm", "happy"), newest, ("no-speech", "happy"), -30.0, "USB Mic"), Look(40)):
    ...     print(line)
      happy  75 %                      00:04
    <BLANKLINE>
    c calm       25 %  #####
    h happy      75 %  ################
    <BLANKLINE>
      level    -30 dB  ###########
    * speech    100 %  #####################
      history          -h
      USB Mic
    """
    return _Rendering(picture, look).lines()


class _Rendering:
    """One picture in four columns: mark, name, figure, bar."""

    def __init__(self, picture: Picture, look: Look):
        self._picture = picture
        self._look = look
        self._width = min(look.width, _WIDEST)
        self._names = max(map(_cells, (*picture.labels, "history")))
        self._bars = max(0, self._width - self._names - len("m   -99 dB  "))
        colours = itertools.cycle(_COLOURS)
        self._marks = {label: _Span(mark, next(colours)) for label, mark in marks(picture.labels).items()}
        self._prediction = prediction = picture.prediction or Prediction(None, 0, 0, NO_SPEECH, 0, {})
        self._speaks = prediction.label != NO_SPEECH
        self._best = max(prediction.probabilities, key=prediction.probabilities.__getitem__, default="")

    def lines(self) -> list[str]:
        emotions = map(self._emotion, self._picture.labels)
        rows = [self._title(), [], *emotions, [], self._level(), self._speech(), self._history(), self._status()]
        return [self._line(row) for row in rows]

    def _title(self) -> list[_Span]:
        title, style = self._prediction.label, _BOLD if self._speaks else _DIM
        if self._picture.prediction is None:
            title = "listening"
        elif title == UNCERTAIN:
            title = f"{UNCERTAIN}, perhaps {self._best}"
        elif self._speaks:
            title, style = f"{title}  {percent(self._prediction.confidence)}", f"{_BOLD};{self._marks[title].style}"
        minutes, seconds = divmod(int(self._prediction.end), 60)
        clock = f"{minutes:02}:{seconds:02}"
        gap = max(2, self._width - len("  ") - _cells(title) - len(clock))
        return [_Span(f"  {title}", style), _Span(" " * gap + clock, _DIM)]

    def _emotion(self, label: str) -> list[_Span]:
        probability = self._prediction.probabilities.get(label, 0.0)
        style = _DIM if not self._speaks else f"{_BOLD};{self._marks[label].style}" if label == self._best else _PLAIN
        figure = percent(probability) if self._speaks else ""
        return self._row(self._marks[label], label, figure, self._bar(probability, style), style=style)

    def _level(self) -> list[_Span]:
        level = round(min(99.0, max(-99.0, self._picture.level)))
        return self._row(_Span(" "), "level", f"{level} dB", self._bar(1 - level / _QUIETEST, _DIM))

    def _speech(self) -> list[_Span]:
        ratio = self._prediction.speech
        if ratio is None:
            return self._row(_Span(" "), "speech", "")
        return self._row(_Span("●" if self._speaks else "○"), "speech", percent(ratio), self._bar(ratio, _DIM))

    def _history(self) -> list[_Span]:
        cells = {**self._marks, NO_SPEECH: _Span("·", _DIM), UNCERTAIN: _Span("?")}
        return self._row(_Span(" "), "history", "", *(cells[label] for label in self._picture.history[-self._bars :]))

    def _status(self) -> list[_Span]:
        text = "".join(c if c.isprintable() else "?" for c in f"  {self._picture.status}")
        return [_Span(text if _cells(text) <= self._width else _cut(text, self._width - 1) + "…", _DIM)]

    def _row(self, mark: _Span, name: str, figure: str, *bar: _Span, style: str = _PLAIN) -> list[_Span]:
        return [mark, _Span(f" {name}{' ' * (self._names - _cells(name))}  {figure:>6}  ", style), *bar]

    def _bar(self, ratio: float, style: str) -> _Span:
        # NaN is 0.
        full, rest = divmod(round(8 * self._bars * min(1.0, max(0.0, printed_ratio(ratio)))), 8)
        return _Span(("█" * full + " ▏▎▍▌▋▊▉"[rest]).rstrip(), style)

    def _line(self, spans: Sequence[_Span]) -> str:
        line, room = "", self._width
        for span in spans:
            text = _cut(span.text, room)
            room -= _cells(text)
            if not self._look.blocks:
                text = "".join(_ASCII.get(c) or (c if c.isascii() else "?" * _cells(c)) for c in text)
            line += f"\x1b[{span.style}m{text}\x1b[0m" if self._look.colour and span.style and text else text
        return line.rstrip()


def marks(labels: Sequence[str]) -> dict[str, str]:
    """A letter for each label: its first that no label before it has.

    >>> marks(("sad", "surprised", "urgent"))
    {'sad': 's', 'surprised': 'r', 'urgent': 'u'}
    """
    spare = string.ascii_lowercase + string.ascii_uppercase + string.digits
    found: dict[str, str] = {}
    for letters in ([label[:1] for label in labels], [label + spare for label in labels]):
        for label, candidates in zip(labels, letters, strict=True):
            free = (c for c in candidates if c.isascii() and c.isalnum() and c not in found.values())
            if label not in found and (mark := next(free, "")):
                found[label] = mark
    return {label: found.get(label, "+") for label in labels}  # more labels than letters share the +


class LiveView:
    """Paints the predictions of a stream, in place and at most ten times a second.

    Args:
        out: a terminal; see `can_paint`.
        metadata: of the model that predicts.
        clock: monotonic, in seconds.
    """

    INTERVAL = 0.1  # seconds between two pictures, at least

    def __init__(self, out: TextIO, metadata: ModelMetadata, clock: Callable[[], float] = time.monotonic):
        self._out = out
        self._clock = clock
        # The Linux console has UTF-8 but not the glyphs.
        self._blocks = "utf" in (out.encoding or "").lower() and os.environ.get("TERM") != "linux"
        self._picture = Picture(metadata.labels)
        self._painted_at = -math.inf
        self._size = (0, 0)
        self._height = 0  # lines of the picture on the screen

    def write(self, prediction: Prediction) -> None:
        """Takes the newest window's prediction, for the next picture."""
        history = (*self._picture.history, prediction.label)[-_WIDEST:]
        self._picture = replace(self._picture, prediction=prediction, history=history)

    def update(self, level: float, status: str) -> None:
        """Takes the source's level (dBFS) and status, and paints unless the last picture is too recent."""
        self._picture = replace(self._picture, level=level, status=status)
        now = self._clock()
        if now - self._painted_at >= self.INTERVAL:
            self._paint()
            self._painted_at = now

    def close(self) -> None:
        """Leaves the last picture, and the cursor below it; a second call does nothing."""
        if self._height:
            self._paint()
            self._out.write("\n\x1b[?25h")  # shows the cursor again
            self._out.flush()
            self._height = 0

    def _paint(self) -> None:
        columns, rows = size = _size(self._out)
        # The last column stays free: terminals differ in what they do after it.
        lines = render(self._picture, Look(columns - 1, not os.environ.get("NO_COLOR"), self._blocks))
        if len(lines) > rows:
            lines = [line for line in lines if line][:rows]
        if not self._height:
            start = "\x1b[?25l"  # hides the cursor
        elif size == self._size:
            start = "\x1b[A" * (self._height - 1)  # up from the last line
        else:
            start = "\x1b[H\x1b[2J"  # clears the screen, as the terminal may have wrapped the last picture
        self._out.write(f"{start}\r" + "\x1b[K\n".join(lines) + "\x1b[J\r")
        self._out.flush()
        self._size, self._height = size, max(1, len(lines))


def can_paint(out: TextIO) -> bool:
    """Whether it is a terminal that can repaint: one with a name, or Windows Terminal, which sets none."""
    named = os.environ.get("TERM", "") not in ("", "dumb")
    return out.isatty() and (named or "WT_SESSION" in os.environ)


def _size(out: TextIO) -> tuple[int, int]:
    """Columns and rows; 80 x 24 where the terminal doesn't know."""
    try:
        columns, rows = os.get_terminal_size(out.fileno())
    except (OSError, ValueError):
        columns = rows = 0
    return columns or 80, rows or 24


@functools.lru_cache(maxsize=256)
def _cells(text: str) -> int:
    """Width on a terminal; cached, as ten pictures a second ask for the same few texts."""
    return sum(map(_character_cells, text))


def _character_cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):  # combines with the one before
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cut(text: str, cells: int) -> str:
    """The beginning that fits into so many cells."""
    widths = itertools.accumulate(map(_character_cells, text))
    return text if _cells(text) <= cells else text[: sum(width <= cells for width in widths)]
