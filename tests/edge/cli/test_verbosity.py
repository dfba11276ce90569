"""What is printed beside predictions: less with --quiet, more with --verbose."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser_edge import Recognizer
from ser_edge.cli.app import main

Capture = pytest.CaptureFixture[str]
SMALL = ["--model", "small"]


def test_quiet_prints_predictions_and_errors_alone(sounds: list[Path], tmp_path: Path, capsys: Capture) -> None:
    assert main([*SMALL, str(sounds[0])]) == 0
    loud = capsys.readouterr()
    assert main([*SMALL, "-q", str(sounds[0])]) == 0
    assert capsys.readouterr() == (loud.out, "")
    assert main([*SMALL, "-q", str(sounds[0]), "missing.wav"]) == 1
    assert capsys.readouterr().err == "ser-edge: missing.wav: no such file or folder\n"
    assert main([*SMALL, "-q", "--output-dir", str(tmp_path), str(sounds[0])]) == 0
    assert capsys.readouterr() == ("", "")


def test_quiet_has_no_summary_of_a_stream_but_its_losses(sounddevice: Any, card: Any, capsys: Capture) -> None:
    microphone = sounddevice.plug(card("USB", channels=1, rate=16_000))
    microphone.on_start = lambda: microphone.record(np.sin(np.arange(12 * 16_000, dtype=np.float32)))  # more than wait
    assert main([*SMALL, "--mic", "--duration", "4", "-q"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(" s dropped")


@pytest.mark.parametrize("jobs", [1, 2])
def test_verbose_prints_what_is_used_and_how_long_it_takes(
    jobs: int, sounds: list[Path], tmp_path: Path, capsys: Capture
) -> None:
    for name in ("a.wav", "b.wav", "c.wav"):
        shutil.copy(sounds[0], tmp_path / name)
    (tmp_path / "b.wav").write_text("no sound")
    assert main([*SMALL, "-v", "--format", "json", "--jobs", str(jobs), str(tmp_path)]) == 1
    model, *rest = capsys.readouterr().err.splitlines()
    assert model == f"ser-edge: model crnn: {Recognizer('small').path}, LiteRT, 1 thread"
    if jobs > 1:
        assert rest.pop(0) == "ser-edge: classified in 2 processes"
    one, broken, other, summary = rest
    for line, name in ((one, "a.wav"), (other, "c.wav")):
        assert re.fullmatch(rf"ser-edge: {re.escape(str(tmp_path / name))}: 1\.7 s of sound in \d+\.\d{{3}} s", line)
    assert broken.startswith(f"ser-edge: {tmp_path / 'b.wav'}: ")
    assert broken.endswith(" [audio-unknown-format]")
    assert summary == "ser-edge: 2 classified, 1 failed"


def test_verbose_prints_the_code_of_what_ends_the_command(capsys: Capture) -> None:
    assert main(["--model", "missing.onnx", "-v", "a.wav"]) == 4
    verbose = capsys.readouterr().err
    assert main(["--model", "missing.onnx", "a.wav"]) == 4
    assert verbose == capsys.readouterr().err.replace("\n", " [model-not-found]\n")


def test_verbose_names_the_microphone(sounddevice: Any, card: Any, capsys: Capture) -> None:
    microphone = sounddevice.plug(card("USB", channels=1, rate=16_000))
    microphone.on_start = lambda: microphone.record(np.zeros(16_000, np.float32))
    assert main([*SMALL, "--mic", "--duration", "0.5", "-v", "-f", "json"]) == 0
    assert capsys.readouterr().err.splitlines()[1] == "ser-edge: microphone USB: 16000 Hz, 1 channel"
