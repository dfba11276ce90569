"""Capturing from a real device without hardware: a PulseAudio whose microphone records what paplay plays."""

import io
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_edge import Recognizer
from ser_edge.capture.devices import devices
from ser_edge.capture.microphone import Microphone
from ser_edge.output.writers import JsonWriter
from ser_edge.recognition.prediction import NO_SPEECH
from tests.edge.capture.pulse_audio import MARKS, RATE, Reader, Server, assert_recorded

pytestmark = MARKS


def test_a_file_is_recorded_sample_by_sample(server: Server, file: Path, sound: npt.NDArray[np.float32]) -> None:
    assert "testmic" in {device.name for device in devices()}
    with Reader() as reader:
        health = reader.health
        for _ in range(2):
            server.play(file)
            time.sleep(0.1)
        assert_recorded(reader, sound, 2)
        assert (health.device, health.rate, health.channels) == ("testmic", RATE, 2)
        assert (reader.health.overflows, reader.health.dropped, reader.health.reconnections) == (0, 0.0, 0)


def test_live_predictions_equal_those_of_a_file(server: Server, sounds: list[Path], tmp_path: Path) -> None:
    recognizer = Recognizer()
    played = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in sounds[:3]])
    soundfile.write(tmp_path / "played.wav", played, RATE, subtype="PCM_16")
    stream = recognizer.create_stream(RATE, "captured.wav")
    pieces, live = [], []
    with Microphone(RATE, "testmic") as microphone:
        playing = threading.Thread(target=server.play, args=(tmp_path / "played.wav",))
        playing.start()
        for piece in microphone:
            pieces.append(piece)
            live += stream.accept_waveform(piece)
            if not playing.is_alive():
                break
        live += stream.input_finished()
        assert microphone.health.dropped == 0
    soundfile.write(tmp_path / "captured.wav", np.concatenate(pieces), RATE, subtype="FLOAT")
    command = [sys.executable, "-m", "ser_edge", "--format", "json", "--timeline", "captured.wav"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = io.StringIO()
    for prediction in live:
        JsonWriter(lines, recognizer.metadata, windows=True).write(prediction)
    assert lines.getvalue() == done.stdout
    assert {prediction.label for prediction in live} != {NO_SPEECH}


def test_the_command_reads_and_ends_with_a_summary(server: Server, sounds: list[Path]) -> None:
    command = [sys.executable, "-m", "ser_edge", "--mic", "--device", "testmic", "--format", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        playing = threading.Thread(target=lambda: [server.play(path) for path in sounds[1:4]])
        playing.start()
        lines = [json.loads(process.stdout.readline()) for _ in range(4)]
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.wait(timeout=30) == 0
        assert time.monotonic() - began < 10
        summary = process.stderr.read()
        playing.join()
    assert {line["path"] for line in lines} == {"microphone"}
    assert " s of audio, " in summary
    assert summary.count("\n") == 1  # no drops or reconnections are reported


def test_the_default_is_the_microphone_of_the_sound_server(
    server: Server, file: Path, sound: npt.NDArray[np.float32]
) -> None:
    if not any(device.is_default for device in devices()):
        pytest.skip("ALSA's default isn't PulseAudio here")
    with Reader(None) as reader:
        server.play(file)
        assert_recorded(reader, sound, 1)
