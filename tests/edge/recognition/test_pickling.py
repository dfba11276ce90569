"""A recognizer goes to other processes, and is copied: it stays what it was, or a line says why it can't."""

import copy
import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser_edge import ModelError, Recognizer, WindowConfig
from ser_edge.features.config import FeatureConfig
from ser_edge.models import network as model
from ser_edge.models.loader import BUNDLED, DEFAULT
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.runtimes.base import RUNTIMES
from tests.conftest import RATE, voice

VOICE = voice(5, 3, 1, 1.5)


@pytest.fixture(autouse=True)
def nothing_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just begun."""
    monkeypatch.setattr(model, "_arrived", None)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A model file of somebody's own."""
    path = tmp_path / "own.tflite"
    path.write_bytes((BUNDLED / f"{DEFAULT}.tflite").read_bytes())
    return path


@pytest.mark.parametrize("name", [DEFAULT, *(DEFAULT + suffix for suffix in RUNTIMES)])
@pytest.mark.parametrize(
    "same",
    [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))],
    ids=["copy", "deep copy", "pickle"],
)
def test_it_stays_what_it_was(name: str, same: Any) -> None:
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


def test_a_process_that_gets_it_again_does_not_open_it_again(own: Path) -> None:
    pickled = pickle.dumps(Recognizer(own))
    first, second = pickle.loads(pickled), pickle.loads(pickled)
    assert first._model is second._model
    own.unlink()
    assert pickle.loads(pickled).predict(VOICE, RATE) == first.predict(VOICE, RATE)


def test_a_relative_path_means_the_same_elsewhere(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own.parent)
    made = Recognizer(own.name)
    monkeypatch.chdir("/")
    assert pickle.loads(pickle.dumps(made)).predict(VOICE, RATE) == made.predict(VOICE, RATE)


def test_a_file_of_a_bundled_ones_name_is_no_bundled_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pickled = pickle.dumps(Recognizer(f"{DEFAULT}.tflite"))
    monkeypatch.chdir(tmp_path)
    Path(f"{DEFAULT}.tflite").write_text("another one, and damaged")
    assert pickle.loads(pickled).path == BUNDLED / f"{DEFAULT}.tflite"


def test_a_model_file_that_is_gone_is_a_line(own: Path) -> None:
    pickled = pickle.dumps(Recognizer(own))
    own.unlink()
    with pytest.raises(
        ModelError, match=r"own\.tflite: the model file of a pickled recognizer is gone; put it back, .*"
    ):
        pickle.loads(pickled)


def test_a_model_file_that_was_changed_is_a_line(tmp_path: Path, small_onnx: Any) -> None:
    config = FeatureConfig(n_mels=40, n_mfcc=3, seconds=1.0)
    metadata = ModelMetadata("small", ("calm", "happy", "angry"), config).to_json()
    pickled = pickle.dumps(Recognizer(small_onnx(tmp_path / "own.onnx", metadata)))
    small_onnx(tmp_path / "own.onnx", metadata, weights=2 * np.eye(3))
    with pytest.raises(ModelError, match=r"own\.onnx: not the model that was pickled: the file was changed; make .*"):
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
    command = [sys.executable, "-W", "ignore::DeprecationWarning", program, method, DEFAULT + suffix, *sounds]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
