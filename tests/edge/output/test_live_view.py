"""The live view: exact frames, then what a terminal displays."""

import io
import math
import os
import re
import string
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import ModelMetadata
from ser_edge.output.live_view import LiveView, Look, Picture, can_paint, marks, render
from ser_edge.recognition.prediction import NO_SPEECH, UNCERTAIN, Prediction

LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
METADATA = ModelMetadata("ravdess", LABELS, FeatureConfig())
RATIOS = (0.05, 0.08, 0.7, 0.03, 0.1, 0.0, 0.004, 0.036)
STATUS = "USB Mic 48 kHz · lag 0.1 s · dropped 0.0 s"
PAST = ("no-speech", "no-speech", "sad", "surprised", "uncertain", "happy", "happy")


def answer(label: str = "happy", end: float = 83.5) -> Prediction:
    if label == NO_SPEECH:
        return Prediction(None, end - 3, end, label, 0.0, dict.fromkeys(LABELS, 0.0), 0.1)
    return Prediction(None, end - 3, end, label, max(RATIOS), dict(zip(LABELS, RATIOS, strict=True)), 1.0)


def show(view: LiveView, prediction: Prediction, level: float, status: str) -> None:
    view.write(prediction)
    view.update(level, status)


HAPPY = Picture(LABELS, answer(), PAST, -30.0, STATUS)
SIXTY = """\
  happy  70 %                                         01:23

n neutral       5 %  █▉
c calm          8 %  ███
h happy        70 %  ██████████████████████████▋
s sad           3 %  █▏
a angry        10 %  ███▊
f fearful       0 %
d disgust       0 %
u surprised     4 %  █▌

  level      -30 dB  ███████████████████
● speech      100 %  ██████████████████████████████████████
  history            ··su?hh
  USB Mic 48 kHz · lag 0.1 s · dropped 0.0 s
"""
HUNDRED_AND_TWENTY = """\
  happy  70 %                                                              01:23

n neutral       5 %  ███
c calm          8 %  ████▊
h happy        70 %  █████████████████████████████████████████▎
s sad           3 %  █▊
a angry        10 %  █████▉
f fearful       0 %
d disgust       0 %
u surprised     4 %  ██▍

  level      -30 dB  █████████████████████████████▌
● speech      100 %  ███████████████████████████████████████████████████████████
  history            ··su?hh
  USB Mic 48 kHz · lag 0.1 s · dropped 0.0 s
"""
ASCII = """\
  happy  70 %                                         01:23

n neutral       5 %  ##
c calm          8 %  ###
h happy        70 %  ###########################
s sad           3 %  #
a angry        10 %  ####
f fearful       0 %
d disgust       0 %
u surprised     4 %  ##

  level      -30 dB  ###################
* speech      100 %  ######################################
  history            --su?hh
  USB Mic 48 kHz - lag 0.1 s - dropped 0.0 s
"""
SILENCE = """\
  no-speech                                           01:24

n neutral
c calm
h happy
s sad
a angry
f fearful
d disgust
u surprised

  level      -99 dB
○ speech       10 %  ███▊
  history            ··su?hh·
  USB Mic 48 kHz · lag 0.1 s · dropped 0.0 s
"""
LISTENING = """\
  listening                                           00:00

n neutral
c calm
h happy
s sad
a angry
f fearful
d disgust
u surprised

  level      -99 dB
  speech
  history

"""


@pytest.mark.parametrize(
    ("picture", "look", "expected"),
    [
        (HAPPY, Look(59, blocks=True), SIXTY),
        (HAPPY, Look(119, blocks=True), HUNDRED_AND_TWENTY),
        (HAPPY, Look(59), ASCII),
        (
            Picture(LABELS, answer(NO_SPEECH, 84), (*PAST, NO_SPEECH), -math.inf, STATUS),
            Look(59, blocks=True),
            SILENCE,
        ),
        (Picture(LABELS), Look(59, blocks=True), LISTENING),
    ],
    ids=["60", "120", "ascii", "silence", "listening"],
)
def test_a_picture_looks_exactly_like_this(picture: Picture, look: Look, expected: str) -> None:
    assert render(picture, look) == expected.splitlines()


def test_an_uncertain_answer_says_which_emotion_is_likeliest() -> None:
    title, *_ = render(Picture(LABELS, answer(UNCERTAIN)), Look(59))
    assert title == "  uncertain, perhaps happy                            01:23"


def test_without_a_gate_nothing_is_said_about_speech() -> None:
    ungated = Prediction(None, 0, 3, "happy", 0.7, answer().probabilities)
    assert render(Picture(LABELS, ungated), Look(59, blocks=True))[12] == "  speech"


def test_the_likeliest_emotion_has_its_colour_and_silence_is_dim() -> None:
    lines = render(HAPPY, Look(59, colour=True, blocks=True))
    assert lines[0].startswith("\x1b[1;33m  happy  70 %\x1b[0m")
    assert lines[4].startswith("\x1b[33mh\x1b[0m\x1b[1;33m happy        70 %  \x1b[0m\x1b[1;33m███")
    assert lines[5] == "\x1b[94ms\x1b[0m sad           3 %  █▏"
    silent = render(Picture(LABELS, answer(NO_SPEECH)), Look(59, colour=True, blocks=True))
    assert silent[4] == "\x1b[33mh\x1b[0m\x1b[2m happy              \x1b[0m"


def test_colours_change_nothing_else() -> None:
    coloured = render(HAPPY, Look(59, colour=True, blocks=True))
    assert [re.sub("\x1b\\[[0-9;]*m", "", line).rstrip() for line in coloured] == SIXTY.splitlines()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (LABELS, "nchsafdu"),
        (("surprised", "sad"), "sa"),
        (("sad", "surprised", "urgent"), "sru"),  # u is urgent's own
        (("a", "aa", "aaa"), "abc"),
        (("A", "a"), "Aa"),
        (("悲伤", "生气", "état"), "abt"),
        (("1", "2-fold", "-"), "12a"),
        (tuple(f"a{'b' * n}" for n in range(63)), string.ascii_letters + string.digits + "+"),
    ],
)
def test_every_label_has_a_mark_of_its_own(labels: tuple[str, ...], expected: str) -> None:
    assert marks(labels) == dict(zip(labels, expected, strict=True))


def test_equal_figures_have_equal_bars() -> None:
    def lines(share: float, level: float) -> list[str]:
        answered = Prediction(None, 0.0, 3.0, "calm", share, {"calm": share, "sad": 1 - share}, share)
        return render(Picture(("calm", "sad"), answered, level=level), Look(80, blocks=True))

    assert lines(0.8462, -30.4) == lines(0.8537, -29.6)
    assert lines(0.8462, -30.4) != lines(0.8562, -30.4)


@pytest.mark.parametrize(
    ("status", "blocks", "expected"),
    [
        ("USB オーディオ 48 kHz", True, "  USB オーディオ 48…"),  # 20 cells are 16 characters
        ("USB オーディオ 48 kHz", False, "  USB ?????????? 48~"),
        ("Mikrofon-Gera\u0308t: 48", True, "  Mikrofon-Gera\u0308t: 48"),  # an accent is no cell
        ("a\x1b[31mb\nc\ud800", True, "  a?[31mb?c?"),
        ("", True, ""),
    ],
)
def test_a_status_is_cut_where_the_line_ends(status: str, blocks: bool, expected: str) -> None:
    assert render(Picture(LABELS, status=status), Look(20, blocks=blocks))[-1] == expected


def cells(line: str) -> int:
    """Width on a terminal."""
    combining = sum(unicodedata.category(c) in ("Mn", "Me") for c in line)
    wide = sum(unicodedata.east_asian_width(c) in "WF" and unicodedata.category(c) not in ("Mn", "Me") for c in line)
    return len(line) - combining + wide


LEVELS = st.floats(allow_nan=True, allow_infinity=True)
NAMES = st.lists(
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12), min_size=2, max_size=12, unique=True
)


@settings(deadline=None)
@given(st.data(), NAMES, LEVELS, st.text(max_size=40), st.integers(0, 130), st.booleans())
def test_no_picture_is_wider_or_higher_than_it_may_be(
    data: st.DataObject, names: list[str], level: float, status: str, width: int, blocks: bool
) -> None:
    label = data.draw(st.sampled_from([*names, NO_SPEECH, UNCERTAIN]))
    shares = data.draw(st.lists(st.floats(0, 1), min_size=len(names), max_size=len(names)))
    history = tuple(data.draw(st.lists(st.sampled_from([*names, NO_SPEECH, UNCERTAIN]), max_size=90)))
    prediction = Prediction(None, 0, 3, label, 0.5, dict(zip(names, shares, strict=True)), data.draw(st.floats(0, 1)))
    lines = render(Picture(tuple(names), prediction, history, level, status), Look(width, blocks=blocks))
    assert len(lines) == len(render(Picture(tuple(names)), Look(width))) == len(names) + 7
    assert max(map(cells, lines)) <= min(width, 80)
    assert all(line.isprintable() and (blocks or line.isascii()) for line in lines)


class Terminal(io.StringIO):
    """Interprets what the view uses; any other code is an error."""

    def __init__(self, columns: int = 60, rows: int = 24, encoding: str | None = "utf-8"):
        super().__init__()
        self.columns, self.rows = columns, rows
        self.screen = ["$ ser-edge --mic"]
        self.at, self.cursor, self.scrolled, self.frames = (1, 0), True, 0, 0
        self._encoding = encoding

    @property
    def encoding(self) -> str | None:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 99

    def write(self, text: str) -> int:
        self.frames += 1
        for code, plain in re.findall(r"(\x1b\[\??[\d;]*[A-Za-z]|\r|\n)|([^\x1b\r\n]+)", text):
            row, column = self.at
            self.screen += [""] * (row + 1 - len(self.screen))
            if plain:
                self.screen[row] = (
                    self.screen[row][:column].ljust(column) + plain + self.screen[row][column + len(plain) :]
                )
                assert len(self.screen[row]) < self.columns
                self.at = row, column + len(plain)
            elif code == "\r":
                self.at = row, 0
            elif code == "\n":
                self.at = row + 1, 0
                if row + 1 >= self.rows:
                    self.scrolled += 1
                    self.screen, self.at = self.screen[1:], (row, 0)
            elif code == "\x1b[A":
                self.at = max(0, row - 1), column
            elif code in ("\x1b[K", "\x1b[J"):
                self.screen[row] = self.screen[row][:column]
                self.screen = self.screen[: row + 1] if code == "\x1b[J" else self.screen
            elif code == "\x1b[H":
                self.at = 0, 0
            elif code == "\x1b[2J":
                self.screen = []
            elif code in ("\x1b[?25l", "\x1b[?25h"):
                self.cursor = code.endswith("h")
            else:
                assert code.endswith("m"), repr(code)
        return len(text)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time; in an environment without colour and another terminal."""
    now = [100.0]
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    return now


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((terminal.columns, terminal.rows)))
    return terminal


def history(lines: list[str]) -> str:
    return next(line.removeprefix("  history").strip() for line in lines if line.startswith("  history"))


def test_pictures_are_painted_over_each_other(clock: list[float], terminal: Terminal) -> None:
    view = LiveView(terminal, METADATA, lambda: clock[0])
    for second, label in enumerate(PAST[:-1]):
        show(view, answer(label, end=3 + second), -20.0, "a longer status than the one that follows")
        clock[0] += 1
    show(view, answer(), -30.0, STATUS)
    assert terminal.screen == ["$ ser-edge --mic", *SIXTY.splitlines()]
    assert (terminal.scrolled, terminal.cursor) == (0, False)


def test_closing_leaves_the_last_picture_and_a_visible_cursor_below_it(clock: list[float], terminal: Terminal) -> None:
    view = LiveView(terminal, METADATA, lambda: clock[0])
    view.update(-50.0, STATUS)
    for second, label in enumerate(PAST[:-1]):
        show(view, answer(label, end=3 + second), -50.0, STATUS)
    show(view, answer(), -30.0, STATUS)  # all too soon to be painted
    view.close()
    terminal.write("summary")
    assert terminal.screen == ["$ ser-edge --mic", *SIXTY.splitlines(), "summary"]
    assert terminal.cursor
    view.close()
    assert terminal.at == (16, 7)


def test_a_view_that_showed_nothing_leaves_nothing(terminal: Terminal) -> None:
    LiveView(terminal, METADATA).close()
    assert terminal.frames == 0


def test_ten_pictures_a_second_are_enough_and_none_is_forgotten(clock: list[float], terminal: Terminal) -> None:
    view = LiveView(terminal, METADATA, lambda: clock[0])
    for block in range(100):
        if block % 10 == 0:
            view.write(answer("sad", end=block))
        view.update(-20.0, STATUS)
        clock[0] += 0.02
    assert 15 <= terminal.frames <= 20
    assert history(terminal.screen) == "s" * 10


def test_the_history_shows_the_newest_windows(clock: list[float], terminal: Terminal) -> None:
    view = LiveView(terminal, METADATA, lambda: clock[0])
    for count in range(300):
        show(view, answer("sad" if count == 299 else "happy", end=count), -20.0, STATUS)
        clock[0] += 1
    assert history(terminal.screen) == "h" * 37 + "s"


@pytest.mark.parametrize(("columns", "rows"), [(120, 24), (40, 24), (60, 12), (60, 3), (9, 1)])
def test_a_terminal_of_another_size_is_painted_anew(
    columns: int, rows: int, clock: list[float], terminal: Terminal
) -> None:
    view = LiveView(terminal, METADATA, lambda: clock[0])
    show(view, answer(), -30.0, STATUS)
    terminal.columns, terminal.rows = columns, rows
    for _ in range(3):
        clock[0] += 1
        view.update(-30.0, STATUS)
    lines = render(Picture(LABELS, answer(), ("happy",), -30.0, STATUS), Look(columns - 1, blocks=True))
    fitting = lines if rows >= len(lines) else [line for line in lines if line][:rows]
    assert terminal.screen == fitting
    assert terminal.scrolled == 0


def test_the_smallest_terminal_gets_its_cursor_back(clock: list[float], terminal: Terminal) -> None:
    terminal.columns = terminal.rows = 1
    terminal.screen, terminal.at = [], (0, 0)
    view = LiveView(terminal, METADATA, lambda: clock[0])
    for _ in range(3):
        show(view, answer(), -30.0, STATUS)
        clock[0] += 1
    assert (terminal.scrolled, terminal.cursor) == (0, False)
    view.close()
    assert terminal.cursor


def test_a_low_terminal_goes_without_blank_lines_first(clock: list[float], terminal: Terminal) -> None:
    terminal.rows = 13
    show(LiveView(terminal, METADATA), answer(), -30.0, STATUS)
    assert terminal.screen[-1].startswith("  USB Mic")
    assert "" not in terminal.screen


@pytest.mark.parametrize(
    ("encoding", "term"), [("ascii", "xterm"), ("cp437", "xterm"), (None, "xterm"), ("utf-8", "linux")]
)
def test_without_block_characters_all_is_ascii(
    encoding: str | None, term: str, clock: list[float], terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    terminal._encoding = encoding
    view = LiveView(terminal, METADATA, lambda: clock[0])
    for second, label in enumerate(PAST):
        show(view, answer(label, end=77.5 + second), -30.0, STATUS)
    view.close()
    assert "\n".join(terminal.screen[1:]) == ASCII


def test_no_color_means_no_colour(clock: list[float], terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    styles = []
    for value in ("1", ""):  # empty is as if it weren't set
        monkeypatch.setenv("NO_COLOR", value)
        out = io.StringIO()
        show(LiveView(out, METADATA), answer(), -30.0, STATUS)
        styles.append(len(re.findall("\x1b\\[[0-9;]*m", out.getvalue())))
    assert styles[0] == 0 < styles[1]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "linux"}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": ""}, False),
        ({}, False),
        ({"WT_SESSION": "8e2f"}, True),
    ],
)
def test_only_a_terminal_that_can_go_back_is_painted(
    environment: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "WT_SESSION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert can_paint(Terminal()) == expected
    assert not can_paint(io.StringIO())
