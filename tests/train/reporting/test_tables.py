"""Tables: the accuracy of networks by protocol, and its place in a page."""

from pathlib import Path
from typing import Any

import pytest

from ser_train.data.corpus_loader import CorpusError
from ser_train.reporting.tables import BEGIN, END, include_table, results_table
from tests import messages


def row(network: str, protocol: str, value: float, seeds: int = 1) -> dict[str, Any]:
    figure = {"mean": value, "std": 0.0, "low": value - 2.4, "high": value + 2.6}
    folds = 5 if protocol == "speaker" else 1
    about = {"corpus": "RAVDESS speech", "labels": 8, "folds": folds, "seeds": seeds}
    return {"network": network, "protocol": protocol} | about | dict.fromkeys(("wa", "uar", "f1"), figure)


def test_the_table_has_a_row_for_each_network_and_explains_each_protocol() -> None:
    rows = [row("rnn", "notebook", 50.0), row("gru", "speaker", 40.06, seeds=3), row("gru", "notebook", 94.0)]
    assert results_table(rows) == (
        "| network | `notebook`: WA / UAR / macro-F1, % | `speaker`: WA / UAR / macro-F1, % |\n"
        "|---|---|---|\n"
        "| `rnn` | 50.0 / 50.0 / 50.0 (48-53) |  |\n"
        "| `gru` | 94.0 / 94.0 / 94.0 (92-97) | 40.1 / 40.1 / 40.1 (38-43) |\n"
        "| | train/test leakage: each file twice, and the test set stops the training "
        "| **speakers it was not trained on: what to expect** |\n"
        "\n"
        "Test accuracy on RAVDESS speech, 8 emotions (chance 12.5 %). `notebook`: 1 fold x 1 seed; "
        "`speaker`: 5 folds x 3 seeds. Brackets: 95 % interval over actors.\n"
    )


def test_a_network_with_fewer_seeds_than_most_is_named() -> None:
    rows = [row("rnn", "speaker", 30, seeds=3), row("lstm", "speaker", 40), row("gru", "speaker", 50, seeds=3)]
    assert "`speaker`: 5 folds x 3 seeds (`lstm`: 5 folds x 1 seed). Brackets" in results_table(rows)


def test_only_what_is_between_the_marks_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"# Title\n{BEGIN}\nold\n{END}\nThe mark {END} may be mentioned.\n", "utf-8")
    for value in (50.0, 60.0):
        rows = [row("gru", "speaker", value)]
        include_table(rows, page)
        assert page.read_text("utf-8") == (
            f"# Title\n{BEGIN}\n{results_table(rows)}{END}\nThe mark {END} may be mentioned.\n"
        )


@pytest.mark.parametrize("text", ["no marks", f"only {BEGIN}", f"only {END}", f"{END} before {BEGIN}"])
def test_a_page_without_the_marks_is_refused_and_left_alone(text: str, tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(text, "utf-8")
    with messages.raises(CorpusError, "page-markers"):
        include_table([row("gru", "speaker", 50.0)], page)
    assert page.read_text("utf-8") == text
