"""A recognizer that is copied or pickled equals the original, or an error names the reason."""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser_edge import ModelError, Recognizer, WindowConfig
from ser_edge.features.config import FeatureConfig
from ser_edge.models.bundled.names import BUNDLED, FILES
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.runtimes.base import RUNTIMES
from tests import messages
from tests.conftest import RATE, voice

VOICE = voice(5, 3, 1, 1.5)


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """A model file that isn't bundled."""
    path = tmp_path / "own.tflite"
    path.write_bytes((BUNDLED / "crnn.tflite").read_bytes())
    return path


@pytest.mark.parametrize("name", [*FILES, *(f"small{suffix}" for suffix in RUNTIMES)])
@pytest.mark.parametrize(
    "same",
    [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))],
    ids=["copy", "deep copy", "pickle"],
)
def test_a_copy_equals_the_original(name: str, same: Any) -> None:
    windowing = WindowConfig(window_seconds=2.0, hop_seconds=0.5, min_speech_ratio=None)
    made = Recognizer(name, threads=2, threshold=0.9, windowing=windowing, channel=2)
    again = same(made)
    assert again is not made
    assert (again.path, again.metadata) == (made.path, made.metadata)
    stereo = np.stack([0 * VOICE, VOICE], axis=1)
    assert again.predict(stereo, RATE) == made.predict(stereo, RATE)
    assert list(again.stream([stereo, stereo], RATE)) == list(made.stream([stereo, stereo], RATE))


def test_a_pickle_is_small_and_takes_no_path_of_this_machine_along_for_a_bundled_model() -> None:
    pickled = pickle.dumps(Recognizer())
    assert len(pickled) < 1000
    assert str(BUNDLED).encode() not in pickled


def test_a_process_that_unpickles_it_twice_opens_it_once(model_file: Path) -> None:
    pickled = pickle.dumps(Recognizer(model_file))
    first = pickle.loads(pickled)
    model_file.unlink()
    assert pickle.loads(pickled).predict(VOICE, RATE) == first.predict(VOICE, RATE)


def test_a_relative_path_is_the_same_file_in_another_folder(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model_file.parent)
    made = Recognizer(model_file.name)
    monkeypatch.chdir("/")
    assert pickle.loads(pickle.dumps(made)).predict(VOICE, RATE) == made.predict(VOICE, RATE)


def test_a_file_named_like_a_bundled_one_is_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pickled = pickle.dumps(Recognizer("small.tflite"))
    monkeypatch.chdir(tmp_path)
    Path("crnn.tflite").write_text("another one, and damaged")
    assert pickle.loads(pickled).path == BUNDLED / "crnn.tflite"


def test_a_missing_model_file_is_refused(model_file: Path) -> None:
    pickled = pickle.dumps(Recognizer(model_file))
    model_file.unlink()
    with messages.raises(ModelError, "model-not-found"):
        pickle.loads(pickled)


def test_a_changed_model_file_is_refused(tmp_path: Path, small_onnx: Any) -> None:
    config = FeatureConfig(n_mels=40, n_mfcc=3, seconds=1.0)
    metadata = ModelMetadata("small", ("calm", "happy", "angry"), config).to_json()
    pickled = pickle.dumps(Recognizer(small_onnx(tmp_path / "own.onnx", metadata)))
    small_onnx(tmp_path / "own.onnx", metadata, weights=2 * np.eye(3))
    with messages.raises(ModelError, "model-changed"):
        pickle.loads(pickled)


POOL = """
import multiprocessing, sys
from ser_edge import Recognizer

if __name__ == "__main__":
    method, name, *paths = sys.argv[1:]
    recognizer = Recognizer(name)
    expected = [recognizer.predict(path) for path in paths]
    with multiprocessing.get_context(method).Pool(2) as pool:
        answers = pool.map(recognizer.predict, 5 * paths, chunksize=1)
    print(answers == 5 * expected)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.parametrize("suffix", RUNTIMES)
def test_a_pool_maps_predict(method: str, suffix: str, sounds: list[Path], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(POOL)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", program, method, f"small{suffix}", *sounds]
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(command, env=unmeasured, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
