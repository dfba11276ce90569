"""What the bundled files, the README and the card say of the accuracy is what was measured."""

import json
from pathlib import Path

import pytest

from ser_edge.models.loader import open_model

PROJECT = Path(__file__).parents[2]
MODELS = PROJECT / "edge/ser_edge/models/bundled"


@pytest.fixture(scope="module")
def measured() -> dict:
    """The row of the network in Keras."""
    rows = json.loads((PROJECT / "train/results.json").read_text())
    (row,) = (
        row
        for row in rows
        if (row["network"], row["protocol"], row["format"], row["labels"]) == ("crnn", "speaker", "keras", 8)
    )
    return row


@pytest.mark.parametrize("name", ["crnn.onnx", "crnn.tflite"])
def test_bundled_files_carry_the_latest_figures(name: str, measured: dict) -> None:
    said = open_model(MODELS / name).metadata.accuracy
    assert said is not None
    assert (said.protocol, said.folds, said.seeds) == ("speaker", measured["folds"], measured["seeds"])
    assert said.wa == pytest.approx(measured["wa"]["mean"], abs=0.01)
    assert said.uar == pytest.approx(measured["uar"]["mean"], abs=0.01)


@pytest.mark.parametrize("page", [PROJECT / "README.md", MODELS / "MODEL_CARD.md"])
def test_pages_carry_the_latest_figures(page: Path, measured: dict) -> None:
    figures = " / ".join(f"{measured[metric]['mean']:.1f}" for metric in ("wa", "uar", "f1"))
    assert f"| {figures} (" in page.read_text("utf-8")
