"""Model cards show the network that their marks name, without what wasn't measured."""

from pathlib import Path

from ser_train.reporting.model_card import card, include_model_cards
from ser_train.reporting.statistics import gather
from ser_train.runs.run_directory import RunDirectory
from ser_train.runs.settings import Settings
from tests.train.reporting.fake_runs import make_run

MARKS = ("<!-- gru by speaker: made by make evaluate -->\n", "<!-- end of gru by speaker -->")


def test_a_card_shows_the_network_that_its_marks_name(ten_runs: Path, tmp_path: Path) -> None:
    runs = [RunDirectory(path) for path in sorted(ten_runs.iterdir())]
    page = tmp_path / "CARD.md"
    page.write_text(f"# Card\n\n{MARKS[0]}old\n{MARKS[1]}\n\nend\n", "utf-8")
    other = make_run(tmp_path, Settings("lstm", "utterance"))
    for _ in range(2):
        include_model_cards([*runs, other], page)
        assert page.read_text("utf-8") == f"# Card\n\n{MARKS[0]}{card(gather(runs))}{MARKS[1]}\n\nend\n"
    text = page.read_text("utf-8")
    assert "5 folds, 2 seeds; in percent, ± is the spread over seeds." in text
    assert "| neutral | 97.9 ± 2.1 | 96.0 ± 4.0 | calm 2 |" in text
    assert "Of 24 speakers the lowest accuracy is" in text
    assert "calibrated. With the threshold 0.50, " in text
    assert "| white noise, 10 dB |" in text
    assert "nan" not in text


def test_a_card_leaves_out_what_was_not_measured(tmp_path: Path) -> None:
    text = card(gather([make_run(tmp_path, Settings("gru", "speaker", 0, 0), wrong=1)]))
    assert "white noise" not in text
    assert "uncertain" not in text
    assert "±" not in text


def test_a_card_of_a_network_that_was_not_evaluated_stays(tmp_path: Path) -> None:
    page = tmp_path / "CARD.md"
    page.write_text("".join(MARKS), "utf-8")
    include_model_cards([make_run(tmp_path, Settings("gru", "utterance"))], page)
    assert page.read_text("utf-8") == "".join(MARKS)
