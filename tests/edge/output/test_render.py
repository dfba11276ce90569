"""Pictures of the live view as lines."""

import math
import re
import string
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge.output.live_view import Look, Picture, marks, render
from ser_edge.recognition.prediction import NO_SPEECH, UNCERTAIN, Prediction
from tests.edge.output.pictures import (
    ASCII,
    HAPPY,
    HUNDRED_AND_TWENTY,
    LABELS,
    LISTENING,
    PAST,
    SILENCE,
    SIXTY,
    STATUS,
    answer,
)


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
def test_pictures(picture: Picture, look: Look, expected: str) -> None:
    assert render(picture, look) == expected.splitlines()


def test_an_uncertain_prediction_names_the_likeliest_emotion() -> None:
    title, *_ = render(Picture(LABELS, answer(UNCERTAIN)), Look(59))
    assert title == "  uncertain, perhaps happy                            01:23"


def test_without_a_gate_the_speech_row_is_empty() -> None:
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
def test_pictures_keep_their_width_and_height(
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
