"""Made-up weights, and files that hold them."""

from pathlib import Path

import pytest

from tests.train.networks.whisper_weights.weight_files import (
    DIMS,
    HUGGING_FACE,
    OPENAI,
    Arrays,
    made_up,
    published,
    tensors,
    write_pt,
)


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return made_up(2)


@pytest.fixture(scope="module")
def openai(arrays: Arrays) -> Arrays:
    return published(arrays, OPENAI)


@pytest.fixture(scope="module")
def hugging_face(arrays: Arrays) -> Arrays:
    return published(arrays, HUGGING_FACE)


@pytest.fixture
def checkpoint(openai: Arrays, tmp_path: Path) -> Path:
    write_pt(tmp_path / "tiny.en.pt", {"dims": DIMS, "model_state_dict": tensors(openai)})
    return tmp_path / "tiny.en.pt"
