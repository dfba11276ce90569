"""Labels in scripts that matplotlib's own font lacks."""

import logging
import warnings
from collections.abc import Iterator
from io import BytesIO

import matplotlib
import pytest
from matplotlib.figure import Figure

from ser_train.reporting.fonts import use_fonts_for


@pytest.fixture(autouse=True)
def settings_as_before() -> Iterator[None]:
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("error")
        use_fonts_for.cache_clear()
        yield


def draw(text: str) -> None:
    Figure().text(0, 0, text).figure.savefig(BytesIO())


@pytest.mark.parametrize("text", ["happy", "ärgerlich", "χαρά", "радость"])
def test_the_usual_font_stays_alone_where_it_has_all_characters(text: str) -> None:
    before = matplotlib.rcParams["font.family"]
    use_fonts_for(text)
    assert matplotlib.rcParams["font.family"] == before


def test_an_installed_font_is_taken_for_characters_that_the_usual_one_lacks(caplog: pytest.LogCaptureFixture) -> None:
    text = "calm \N{MATHEMATICAL BOLD ITALIC CAPITAL SIGMA}"  # of STIX, which comes with matplotlib
    use_fonts_for(text)
    draw(text)
    assert not caplog.records
    assert len(matplotlib.rcParams["font.family"]) == 2


def test_characters_of_no_font_are_one_line_for_all_pictures(caplog: pytest.LogCaptureFixture) -> None:
    text = "\U0010f042\U0010f017"  # private use
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            use_fonts_for(text)
            draw(text)
    assert caplog.messages == ["no installed font has \U0010f017\U0010f042: pictures show boxes instead; install one"]
