"""The self-test: each bundled model gives the answer that is stored beside it, and another one is noticed."""

import json
import shutil
from pathlib import Path

import pytest

from ser_edge.errors import ModelError
from ser_edge.models import integrity
from ser_edge.models.bundled.names import BUNDLED
from ser_edge.models.loader import open_model
from tests import messages

REFRESH = "after making the bundled models anew: make bundle"


@pytest.mark.parametrize("path", integrity.model_files(), ids=lambda path: path.name)
def test_each_bundled_model_answers_as_is_stored(path: Path) -> None:
    try:
        integrity.self_test(path)
    except ModelError as error:
        pytest.fail(f"{path.name} {error}. Refresh it {REFRESH}")


def test_an_answer_is_stored_for_each_bundled_file_and_for_no_other() -> None:
    assert list(json.loads(integrity.SELF_TEST.read_text())) == [path.name for path in integrity.model_files()]


def test_the_self_test_classifies_its_audio() -> None:
    answer = integrity.self_test_answer(open_model(integrity.model_files()[0]))
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert max(answer["probabilities"].values()) > 1.5 / len(answer["probabilities"])


@pytest.fixture
def bundle(tmp_path: Path) -> tuple[Path, Path]:
    """A model and the file with its answer, in a folder of their own."""
    model = shutil.copy(integrity.model_files(BUNDLED)[0], tmp_path)
    integrity.write_self_test(tmp_path / "self_test.json")
    return Path(model), tmp_path / "self_test.json"


def test_a_stored_answer_is_found_again(bundle: tuple[Path, Path]) -> None:
    model, stored = bundle
    assert list(json.loads(stored.read_text())) == [model.name]
    assert integrity.self_test(model, stored) == 0.0


def test_another_answer_another_file_and_no_answer_are_different_errors(bundle: tuple[Path, Path]) -> None:
    model, stored = bundle
    answers = json.loads(stored.read_text())
    label = next(iter(answers[model.name]["probabilities"]))
    answers[model.name]["probabilities"][label] += 0.5
    stored.write_text(json.dumps(answers))
    with messages.raises(ModelError, "model-self-test"):
        integrity.self_test(model, stored)
    answers[model.name]["digest"] = "0"
    stored.write_text(json.dumps(answers))
    with messages.raises(ModelError, "model-changed"):
        integrity.self_test(model, stored)
    model.write_bytes(model.read_bytes()[:-100])  # which can't be opened
    with messages.raises(ModelError, "model-changed"):
        integrity.self_test(model, stored)
    stored.write_text("{")
    with messages.raises(ModelError, "model-self-test"):
        integrity.self_test(model, stored)
