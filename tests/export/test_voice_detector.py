"""The bundled voice detector can be converted again, from Silero's published weights only."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from ser_edge.audio.reading import read
from ser_edge.models.tolerances import VOICE_DETECTOR
from ser_edge.recognition.voice_activity.voice_detector import CHUNK, VAD_FILES, VoiceDetector, open_network
from ser_export.errors import ExportError
from ser_export.verification.operators import operators, runtimes
from ser_export.voice_detector.convert import convert
from tests import messages

pytestmark = pytest.mark.slow

SHIPPED, SHIPPED_ONNX = VAD_FILES[".tflite"], VAD_FILES[".onnx"]


def test_the_bundled_file_is_what_is_converted(tmp_path: Path) -> None:
    made = tmp_path / "made.tflite"
    subprocess.run([sys.executable, "-m", "ser_export.voice_detector.convert", made], check=True, capture_output=True)
    assert [path.name for path in tmp_path.iterdir()] == [made.name]
    shipped = VoiceDetector()
    anew = VoiceDetector(open_network(made))
    phase = np.cumsum(0.05 + 0.02 * np.sin(np.arange(100 * CHUNK) / 3000))
    voice = sum(np.sin(k * phase) / k for k in range(1, 13)) * np.sin(np.arange(100 * CHUNK) / 1000).clip(0)
    probabilities = [(shipped.probability(chunk), anew.probability(chunk)) for chunk in voice.reshape(-1, CHUNK) / 10]
    assert np.ptp(probabilities) > 0.5
    np.testing.assert_allclose(*np.transpose(probabilities), atol=1e-5)


def test_the_bundled_onnx_file_is_what_is_converted(tmp_path: Path) -> None:
    convert(made := tmp_path / "made.onnx")
    assert made.read_bytes() == SHIPPED_ONNX.read_bytes()
    assert made.stat().st_size < 700_000
    assert {name for name, version in operators(made).items() if version > 17 or version == 0} == set()


def test_the_onnx_file_detects_what_the_tflite_file_does(speech: list[Path], sounds: list[Path]) -> None:
    """Over whole signals: a difference would add up in the state."""
    networks = open_network(SHIPPED), open_network(SHIPPED_ONNX)
    noise = np.random.default_rng(0).normal(0, 0.3, 100 * CHUNK).astype(np.float32)
    hum = np.sin(np.arange(100 * CHUNK) * 2 * np.pi * 50 / 16_000).astype(np.float32)
    signals = [read(path, 16_000) for path in [*sounds, *speech[:10]]]
    found = []
    for signal in (*signals, noise, hum, 0 * hum):
        one, other = map(VoiceDetector, networks)
        chunks = signal[: len(signal) // CHUNK * CHUNK].reshape(-1, CHUNK)
        found += [(one.probability(chunk), other.probability(chunk)) for chunk in chunks]
    assert np.ptp(found) > 0.5
    np.testing.assert_allclose(*np.transpose(found), rtol=0, atol=VOICE_DETECTOR)


def test_it_runs_in_old_runtimes_and_is_stateless() -> None:
    assert runtimes(SHIPPED) == ("LiteRT", "tflite-runtime 2.14")
    assert {name for name, version in operators(SHIPPED).items() if version > 1} == {"DEQUANTIZE"}
    assert not {"VAR_HANDLE", "UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM", "WHILE"} & set(operators(SHIPPED))


def test_another_network_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "another", [], [])), other)
    with messages.raises(ExportError, "voice-detector-weights"):
        convert(tmp_path / "made.tflite", other)
    with messages.raises(ExportError, "voice-detector-weights"):
        convert(tmp_path / "made.tflite", tmp_path / "none.onnx")
    assert not (tmp_path / "made.tflite").exists()
