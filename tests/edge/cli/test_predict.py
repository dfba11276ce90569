"""Finding files, and writing their results."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ser_edge import Recognizer
from ser_edge.cli.predict import PredictOptions, find_files, predict_files, write_results
from ser_edge.errors import AudioError
from ser_edge.recognition.batch.tasks import FileResult
from ser_edge.recognition.prediction import Prediction
from ser_edge.recognition.recognizer import RecognizerConfig
from ser_edge.recognition.windows import WindowConfig

COMMAND = [sys.executable, "-m", "ser_edge"]


class ListSink:
    """A sink that keeps predictions."""

    def __init__(self) -> None:
        self.predictions: list[Prediction] = []

    def write(self, prediction: Prediction) -> None:
        self.predictions.append(prediction)

    def close(self) -> None: ...


def test_results_go_to_every_sink_and_errors_to_standard_error(
    sounds: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    prediction = Recognizer().predict(sounds[0])
    error = AudioError("cut.wav: truncated", code="audio-truncated")
    sinks = [ListSink(), ListSink()]
    good, bad = FileResult("a.wav", (prediction,)), FileResult("cut.wav", (prediction,), error)
    results = [good, bad, good]
    assert write_results(results, sinks) == (2, 1)
    assert [sink.predictions for sink in sinks] == [[prediction] * 3] * 2
    assert capsys.readouterr().err == "ser-edge: cut.wav: truncated\n"


def test_files_are_results_in_their_order(sounds: list[Path]) -> None:
    config = RecognizerConfig("crnn", 1, None, WindowConfig())
    recognizer = config.build()
    paths = list(map(str, reversed(sounds)))
    for options in (PredictOptions(), PredictOptions(jobs=2)):
        results = predict_files(config, recognizer, iter(paths), options)
        assert [[p] for p in map(recognizer.predict, paths)] == [list(result) for result in results]


def test_help_needs_no_numpy() -> None:
    program = "import sys; sys.modules['numpy'] = None; from ser_edge.cli.app import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "--help"], capture_output=True, encoding="utf-8", check=True)
    assert "--jobs N" in done.stdout


def test_standard_input_is_classified_in_its_place_among_files(sounds: list[Path]) -> None:
    command = [*COMMAND, "--format", "json", str(sounds[0]), "-", str(sounds[1])]
    done = subprocess.run(command, input=sounds[2].read_bytes(), capture_output=True, timeout=120, check=True)
    paths = [json.loads(line)["path"] for line in done.stdout.splitlines()]
    assert paths[0] == str(sounds[0])
    assert set(paths[1:-1]) == {"-"}
    assert paths[-1] == str(sounds[1])


def test_folders_are_walked_lazily_and_links_out_of_them_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a/1.wav", "a/b/2.WAV", "a.b/3.flac", "c.wav", "c/4.mp3", os.fsdecode("ü.ogg".encode())]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "c" / "empty").mkdir()
    (tmp_path / "c" / "round.wav").symlink_to(tmp_path)
    (tmp_path / "d.wav").symlink_to(tmp_path / "c.wav")
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(Path(path)) or scandir(path))
    walk = find_files([str(tmp_path), "given.xyz"])
    assert next(walk) == str(tmp_path / "a" / "1.wav")
    assert listed == [tmp_path, tmp_path / "a"]
    expected = sorted([tmp_path / name for name in [*names, "d.wav"]])[1:]
    assert list(walk) == [*map(str, expected), "given.xyz"]


def test_an_unreadable_folder_is_not_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "c.wav").touch()
    scandir = os.scandir

    def refuses(path: Path) -> object:
        if path == tmp_path / "b":
            raise PermissionError
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuses)
    assert list(find_files([str(tmp_path)])) == [str(tmp_path / "b"), str(tmp_path / "c.wav")]
