"""Judging on other corpora: corpus by corpus, among the emotions that each has."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_train.across import Abroad, abroad, across, markdown
from ser_train.corpus import read_corpora
from tests.conftest import RATE, voice


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two utterances of nEMO, one of TESS."""
    for place, name in enumerate(("EB0_anger_1.wav", "EB0_sadness_1.wav", "OAF_back_disgust.wav")):
        soundfile.write(tmp_path / name, voice(place, 1, 1), RATE)
    return tmp_path


class Calm:
    """A network that always says calm first, angry next."""

    def __init__(self) -> None:
        from ser_edge.model import Model

        self.description = Model("crnn").description

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        answer = [0.5 if label == "calm" else 0.3 if label == "angry" else 0.2 / 6 for label in self.description.labels]
        return np.tile(np.array(answer, np.float32), (len(features), 1))


def test_an_emotion_that_a_corpus_lacks_is_no_answer(folder: Path) -> None:
    nemo, tess = sorted(abroad(Calm(), "calm", read_corpora([folder], 1)), key=lambda figure: figure.corpus)
    assert nemo == Abroad("calm", "nemo", 2, 6, 50.0, 50.0)  # angry twice: nEMO has no calm
    assert tess == Abroad("calm", "tess", 1, 7, 0.0, 0.0)


def test_the_command_judges_files_and_leaves_out_what_is_no_run(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bundled = Path(__file__).parents[2] / "edge/ser_edge/models/crnn.onnx"
    page = tmp_path / "table.md"
    assert across([str(bundled), str(tmp_path / "none"), "--data", str(folder), "--markdown", str(page)]) == 0
    said = capsys.readouterr()
    assert "not a finished run" in said.err
    assert said.out == page.read_text()
    assert "`crnn.onnx`" in said.out
    assert "nEMO (2 utterances, chance 16.7)" in said.out


def test_each_corpus_is_a_column() -> None:
    table = markdown([Abroad("a", "nemo", 9, 6, 50, 40), Abroad("b", "tess", 8, 7, 50, 30)])
    assert table.splitlines()[2:] == ["| `a` | 40.0 |  |", "| `b` |  | 30.0 |"]
