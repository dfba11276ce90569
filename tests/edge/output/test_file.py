"""A file for all predictions: what is there is replaced by a run that predicts, and by no other."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ser_edge.cli.app import main
from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import ModelMetadata
from ser_edge.output.file import OutputFile
from ser_edge.output.writers import WRITERS
from ser_edge.recognition.prediction import Prediction

METADATA = ModelMetadata("small", ("calm", "sad"), FeatureConfig())
HEADER = "path,start,end,label,confidence,speech,calm,sad\n"
WINDOW = Prediction("a.wav", 0, 3, "sad", 0.75, {"calm": 0.25, "sad": 0.75})


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A file with the results of an earlier run."""
    path = tmp_path / "answers"
    path.write_text("precious\n" * 100)
    return path


def csv_file(path: Path) -> OutputFile:
    return OutputFile(str(path), lambda out: WRITERS["csv"](out, METADATA))


@pytest.mark.parametrize("form", ["text", "json", "csv", "vtt"])
@pytest.mark.parametrize(("arguments", "code"), [(["missing.wav"], 1), (["--mic"], 3)])
def test_a_run_that_predicts_nothing_leaves_it_alone(
    arguments: list[str], code: int, form: str, earlier: Path, sounddevice: Any
) -> None:
    assert main(["--model", "small", "-f", form, "-o", str(earlier), *arguments]) == code
    assert earlier.read_text() == "precious\n" * 100


def test_a_server_that_cannot_start_leaves_it_alone(earlier: Path, sounddevice: Any, card: Any) -> None:
    pytest.importorskip("uvicorn")
    sounddevice.plug(card("USB", channels=1, rate=16_000))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["--model", "small", "--serve", address, "--mic", "-o", str(earlier)]) == 1
    assert earlier.read_text() == "precious\n" * 100


def test_the_first_prediction_replaces_it(sounds: list[Path], earlier: Path) -> None:
    assert main(["--model", "small", "-f", "json", "-o", str(earlier), "missing.wav", str(sounds[0])]) == 1
    assert [json.loads(line)["path"] for line in earlier.read_text().splitlines()] == [str(sounds[0])]


def test_a_file_is_empty_from_the_first_prediction_on(earlier: Path) -> None:
    file = csv_file(earlier)
    assert earlier.read_text() == "precious\n" * 100
    file.write(WINDOW)
    assert earlier.read_text() == f"{HEADER}a.wav,0,3,sad,0.75,,0.25,0.75\n"
    file.close()
    assert earlier.read_text().count("\n") == 2


def test_a_run_without_anything_to_predict_leaves_an_empty_table(earlier: Path) -> None:
    file = csv_file(earlier)
    file.begin()
    file.close()
    assert earlier.read_text() == HEADER


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    file = csv_file(tmp_path / "pipe")
    file.write(WINDOW)
    file.close()
    reader.join(10)
    assert read[0].startswith(HEADER)


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="no such devices here")
def test_standard_output_has_a_name(sounds: list[Path]) -> None:
    command = [sys.executable, "-m", "ser_edge", "-m", "small", "-f", "json", "-o", "/dev/stdout", str(sounds[0])]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=True)
    assert json.loads(done.stdout)["path"] == str(sounds[0])
