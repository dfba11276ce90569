"""What the bundled files, the README and the card say of the accuracy is what was measured."""

import json
from pathlib import Path

import pytest

from ser_edge.models.bundled.names import BUNDLED
from ser_edge.models.integrity import model_files
from ser_edge.models.loader import open_model

PROJECT = Path(__file__).parents[2]


LABELS = {"crnn": "crnn, distilled"}  # in the table, of networks whose files are named otherwise


def measured(name: str) -> dict:
    """The row in Keras of a bundled network."""
    network = LABELS.get(name, name)
    rows = json.loads((PROJECT / "train/results.json").read_text())
    (row,) = (
        row
        for row in rows
        if (row["network"], row["protocol"], row["format"], row["labels"]) == (network, "speaker", "keras", 8)
    )
    return row


@pytest.mark.parametrize("path", model_files(), ids=lambda path: path.name)
def test_bundled_files_carry_the_latest_figures(path: Path) -> None:
    said, row = open_model(path).metadata.accuracy, measured(path.stem)
    assert said is not None
    assert (said.protocol, said.folds, said.seeds) == ("speaker", row["folds"], row["seeds"])
    assert said.wa == pytest.approx(row["wa"]["mean"], abs=0.01)
    assert said.uar == pytest.approx(row["uar"]["mean"], abs=0.01)


@pytest.mark.parametrize("network", sorted({path.stem for path in model_files()}))
@pytest.mark.parametrize("page", [PROJECT / "README.md", BUNDLED / "MODEL_CARD.md"], ids=lambda page: page.name)
def test_pages_carry_the_latest_figures(page: Path, network: str) -> None:
    row = measured(network)
    figures = " / ".join(f"{row[metric]['mean']:.1f}" for metric in ("wa", "uar", "f1"))
    assert f"| {figures} (" in page.read_text("utf-8")
