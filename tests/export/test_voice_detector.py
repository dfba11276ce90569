"""The bundled voice detector can be converted again, from Silero's published weights only."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from ser_edge.recognition.voice_activity.voice_detector import CHUNK, VAD_FILE, VoiceDetector
from ser_export.errors import ExportError
from ser_export.verification.operators import operators, runtimes
from ser_export.voice_detector.convert import convert
from tests import messages

pytestmark = pytest.mark.slow

SHIPPED = VAD_FILE


def test_the_bundled_file_is_what_is_converted(tmp_path: Path) -> None:
    made = tmp_path / "made.tflite"
    subprocess.run([sys.executable, "-m", "ser_export.voice_detector.convert", made], check=True, capture_output=True)
    assert [path.name for path in tmp_path.iterdir()] == [made.name]
    shipped = VoiceDetector()
    anew = VoiceDetector(made)
    phase = np.cumsum(0.05 + 0.02 * np.sin(np.arange(100 * CHUNK) / 3000))
    voice = sum(np.sin(k * phase) / k for k in range(1, 13)) * np.sin(np.arange(100 * CHUNK) / 1000).clip(0)
    probabilities = [(shipped.probability(chunk), anew.probability(chunk)) for chunk in voice.reshape(-1, CHUNK) / 10]
    assert np.ptp(probabilities) > 0.5
    np.testing.assert_allclose(*np.transpose(probabilities), atol=1e-5)


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
