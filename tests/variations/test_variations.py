"""The command that runs the tests elsewhere asks for tests that exist, and reports what it can't do here."""

from dataclasses import replace

import pytest

from tests.variations import __main__ as command
from tests.variations.table import ROOT, VARIATIONS


@pytest.mark.parametrize("name", VARIATIONS)
def test_a_variation_asks_for_tests_that_there_are(name: str) -> None:
    assert [path for path in VARIATIONS[name].tests if not (ROOT / path).exists()] == []


def test_an_unknown_variation_is_answered_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(["haswel"])
    assert end.value.code == 2
    assert "no variation haswel; there are plain, haswell, " in capsys.readouterr().err


def test_what_is_impossible_here_is_reported_and_is_no_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VARIATIONS, "plain", replace(VARIATIONS["plain"], missing=lambda: "no time"))
    assert command.main(["plain"]) == 0
    processor, line = capsys.readouterr().out.splitlines()
    assert processor == command.processor()
    assert line.split() == ["not", "here", "plain", "no", "time"]
