"""The table and the picture of the learning curve."""

import json
from pathlib import Path

import pytest

from train.own_data.curve import Result, draw, table, with_table
from train.own_data.measure import PAGE, PICTURE, RESULTS

RESULT = [
    Result("whisper-gru", 5, 0, 40, same_speakers=50.0, other_speakers=40.0, cpu_seconds=61.4),
    Result("whisper-gru", 5, 1, 40, same_speakers=52.0, other_speakers=44.0, cpu_seconds=60.0),
    Result("whisper-gru", 100, 0, 757, same_speakers=80.0, other_speakers=70.0, cpu_seconds=120.0),
    Result("crnn", 5, 0, 40, same_speakers=20.0, other_speakers=15.0, cpu_seconds=30.0),
]


def test_a_row_is_a_count_with_the_mean_of_its_repetitions_and_their_range() -> None:
    *_, five, hundred = table(RESULT).splitlines()
    assert five == "| 5 | 40 | 42.0 (40, 44) | 51.0 (50, 52) | 61 s | 15.0 | 20.0 | 30 s |"
    assert hundred == "| 100 | 757 | 70.0 | 80.0 | 120 s |  |  |  |"


def test_only_what_is_between_the_markers_is_replaced() -> None:
    page = "before\n<!-- curve: made by python -m train.own_data.measure -->\nold\n<!-- end of curve -->\nafter\n"
    new = with_table(page, RESULT)
    assert new.startswith("before\n<!-- curve")
    assert new.endswith("<!-- end of curve -->\nafter\n")
    assert table(RESULT) in new
    assert "old" not in new
    assert with_table(new, RESULT) == new


@pytest.mark.slow
def test_the_picture_is_drawn(tmp_path: Path) -> None:
    draw(RESULT, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_shows_what_was_measured() -> None:
    results = [Result(**entry) for entry in json.loads(RESULTS.read_text("utf-8"))]
    text = PAGE.read_text("utf-8")
    assert with_table(text, results) == text
    assert table(results) in text
    assert PICTURE.exists()
