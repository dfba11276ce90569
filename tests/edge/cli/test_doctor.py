"""`ser-edge --doctor`: its findings, its advice, and its exit code."""

import io
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser_edge.capture import devices
from ser_edge.cli import doctor
from ser_edge.cli.doctor import DoctorOptions, run_doctor
from ser_edge.cli.model_costs import ModelCost, measure_cost
from ser_edge.errors import ModelError, RuntimeUnavailable
from ser_edge.errors.install_hints import pip_install, reinstall
from ser_edge.models.bundled.names import DEFAULT, FILES
from ser_edge.models.integrity import model_files, self_test
from ser_edge.recognition.voice_activity.voice_detector import VoiceDetector

RATE = 16_000
SECONDS = 0.5
LIST = "ser-edge --list-devices"


@pytest.fixture(autouse=True)
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(devices, "Path", lambda _: Path("/nowhere"))


def diagnose(device: int | str | None = None, **options: Any) -> tuple[int, dict[str, tuple[str, str]], str]:
    """The exit code, {subject: (state, text)}, and the next command; models have self-tests of their own below."""
    out = io.StringIO()
    models = {
        "model_files": lambda: [Path("crnn.tflite")],
        "self_test": lambda path: 0.0,
        "measure_cost": lambda model: ModelCost(model, 0.01),
    }
    code = run_doctor(out, DoctorOptions(device, SECONDS, **{**models, **options}))
    *lines, following = out.getvalue().splitlines()
    findings = {}
    for line in lines:
        state, subject, text = re.fullmatch(r"(ok|--|!!)  (.{18,}?)  (.+)", line).groups()  # type: ignore[union-attr]
        findings[subject.strip()] = (state, text)
    assert following.startswith("next: ")
    return code, findings, following.removeprefix("next: ")


def plugged(sounddevice: Any, card: Any, sound: Any, **settings: Any) -> Any:
    """A card that records this as soon as it is opened."""
    usb = card("USB", on_start=lambda: usb.record(np.asarray(sound, np.float32)), **settings)
    return sounddevice.plug(usb)


def command_for(model: str) -> str:
    """What the doctor says to type next, for the model that it recommends."""
    return "ser-edge --mic" if model == DEFAULT else f"ser-edge --mic --model {model}"


def tone(amplitude: float) -> Any:
    return amplitude * np.sin(np.arange(RATE) / 5)


def test_a_working_machine(sounddevice: Any, card: Any) -> None:
    plugged(sounddevice, card, tone(0.5))
    code, found, following = diagnose()
    assert (code, following) == (0, command_for(next(iter(FILES))))
    assert {state for state, _ in found.values()} == {"ok"}
    assert list(found) == [
        *("ser-edge", "numpy", "ai-edge-litert", "soundfile", "soxr", "sounddevice", "onnxruntime"),
        *("media", "machine", "crnn.tflite", "voice detector", *FILES, "recommended", "PortAudio", "device 0", "level"),
    ]
    assert found["numpy"][1] == np.__version__
    assert found["crnn.tflite"][1].startswith("passes its self-test (within 0.0000), in ")
    assert re.fullmatch(r"passes its self-test in LiteRT \(within 0\.00\d\d\)", found["voice detector"][1])
    assert found["PortAudio"][1] == "V19.6.0-devel (Fake)"
    assert found["device 0"][1] == "USB (default): mono at 16000 44100 48000 Hz, 2 channels at 16000 44100 48000 Hz"
    assert found["level"][1] == "USB at 16000 Hz, 2 channels: peak -6.0, RMS -9.0 dBFS"


def test_devices_are_opened_to_find_their_settings(sounddevice: Any, card: Any) -> None:
    plugged(sounddevice, card, np.tile(np.repeat([[0.25], [-0.25]], 60, axis=0), (400, 2)), takes={(48_000, 2)})
    sounddevice.plug(card("Odd", 1, takes={(8_000, 1)}))
    code, found, _ = diagnose()
    assert code == 0
    assert found["device 0"] == ("ok", "USB (default): 2 channels at 48000 Hz")
    assert found["device 1"] == ("--", "Odd: opens at none of 16000, 44100, 48000 Hz")
    assert re.match(r"USB at 48000 Hz, 2 channels: peak -1[01]\.", found["level"][1])  # the resampler rings at edges


@pytest.mark.parametrize(
    ("sound", "code", "state", "text"),
    [
        (np.zeros(RATE), 3, "!!", r"digital silence; unmute it \(alsamixer, "),
        (tone(1.5), 0, "--", r"peak 3\.5, RMS 0\.5 dBFS, \d{4} samples clipped; turn it down"),
        (tone(1e-4), 0, "--", r"peak -80\.0, RMS -83\.0 dBFS, very quiet; speak closer"),
    ],
)
def test_the_level_is_measured(sounddevice: Any, card: Any, sound: Any, code: int, state: str, text: str) -> None:
    plugged(sounddevice, card, sound)
    returned, found, _ = diagnose("usb")
    assert (returned, found["level"][0]) == (code, state)
    assert re.match(f"USB at 16000 Hz, 2 channels: {text}", found["level"][1])


def test_a_microphone_that_sends_nothing(sounddevice: Any, card: Any) -> None:
    sounddevice.plug(card("USB"))
    code, found, following = diagnose()
    assert (code, found["level"]) == (3, ("!!", f"USB at 16000 Hz, 2 channels: opens, but sends no audio; {following}"))
    assert following == f"plug it in again, or choose another: {LIST}"


def test_without_portaudio_its_installation_is_next(broken_sounddevice: Callable[[str], None]) -> None:
    broken_sounddevice('raise OSError("PortAudio library not found")')
    code, found, following = diagnose()
    assert (code, found["PortAudio"][0]) == (3, "!!")
    assert "level" not in found
    assert following.startswith("run: sudo apt install libportaudio2")


@pytest.mark.parametrize(
    ("device", "text"),
    [
        (None, "no microphone found; plug one in, or start the sound server (pulseaudio --start), then: " + LIST),
        ("x", "no microphone found; plug one in, or start the sound server (pulseaudio --start), then: " + LIST),
    ],
)
def test_without_a_microphone_no_level_is_measured(sounddevice: Any, device: str | None, text: str) -> None:
    code, found, following = diagnose(device)
    assert (code, found["microphone"]) == (3, ("!!", text))
    assert "level" not in found
    assert text.endswith(following)


def test_an_unknown_device(sounddevice: Any, card: Any) -> None:
    sounddevice.plug(card("USB"))
    code, found, following = diagnose("webcam")
    assert (code, following) == (3, "choose one with --device: 0 (USB)")
    assert found["device 0"][0] == "ok"


def test_a_sound_system_that_never_answers(sounddevice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(sounddevice, "query_devices", lambda kind=None: answer.wait(5) and [])
    code, found, _ = diagnose(sound_timeout=0.2)
    assert (code, found["microphone"][0]) == (3, "!!")
    assert "didn't answer" in found["microphone"][1]
    answer.set()


def test_missing_packages_are_named_with_what_installs_them(sounddevice: Any, card: Any) -> None:
    plugged(sounddevice, card, tone(0.5))
    versions = {"numpy": "2", "ai-edge-litert": "2", "soundfile": "0.13"}
    code, found, following = diagnose(installed_version=versions.get)
    assert (code, following) == (4, pip_install("soxr"))
    assert found["soxr"] == ("!!", f"missing; {pip_install('soxr')}")
    assert found["onnxruntime"] == ("--", f"missing, for .onnx models; {pip_install('onnxruntime>=1.20')}")
    assert found["sounddevice"] == ("--", f"missing, for microphones; {pip_install('sounddevice>=0.5')}")


def test_the_runtime_of_old_systems_is_accepted(sounddevice: Any, card: Any) -> None:
    plugged(sounddevice, card, tone(0.5))
    versions = {"numpy": "1.26", "tflite-runtime": "2.14.0", "soundfile": "0.13", "soxr": "0.5"}
    code, found, _ = diagnose(installed_version=versions.get)
    assert (code, found["tflite-runtime"]) == (0, ("ok", "2.14.0"))
    assert "ai-edge-litert" not in found


def test_a_voice_detector_that_fails_its_self_test(
    sounddevice: Any, card: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugged(sounddevice, card, tone(0.5))
    monkeypatch.setattr(VoiceDetector, "probability", lambda *_: float("nan"))
    code, found, following = diagnose()
    assert (code, following) == (4, reinstall())
    assert found["voice detector"][0] == "!!"


def test_without_litert_onnx_runtime_is_checked_instead(sounddevice: Any, card: Any, without_litert: None) -> None:
    plugged(sounddevice, card, tone(0.5))
    versions = {"numpy": "2", "onnxruntime": "1.20", "soundfile": "0.13", "soxr": "0.5"}
    code, found, following = diagnose(
        installed_version=versions.get, model_files=model_files, self_test=self_test, measure_cost=measure_cost
    )
    assert (code, following) == (0, found["recommended"][1].rpartition("; ")[2])
    assert found["onnxruntime"] == ("ok", "1.20")
    assert "ai-edge-litert" not in found
    assert [found[path.name][0] for path in model_files()] == ["ok", "--", "ok", "--"]
    assert pip_install("ai-edge-litert>=1.2") in found["crnn.tflite"][1]
    assert re.fullmatch(r"passes its self-test in ONNX Runtime \(within 0\.00\d\d\)", found["voice detector"][1])


def test_without_any_runtime_the_one_to_install_is_named(sounddevice: Any, card: Any, without_runtimes: None) -> None:
    plugged(sounddevice, card, tone(0.5))
    code, found, following = diagnose(model_files=model_files, self_test=self_test, measure_cost=measure_cost)
    assert code == 4
    assert following.endswith(pip_install("ai-edge-litert>=1.2"))
    assert {found[path.name][0] for path in model_files()} == {"--"}
    assert found["voice detector"][0] == "!!"
    assert "recommended" not in found


def test_models_in_onnx_are_not_checked_without_its_runtime(
    sounddevice: Any, card: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugged(sounddevice, card, tone(0.5))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, found, _ = diagnose(
        model_files=lambda: [path for path in model_files() if path.stem == "crnn"], self_test=self_test
    )
    assert (code, found["crnn.tflite"][0]) == (0, "ok")
    assert found["crnn.onnx"] == ("--", "not checked: needs onnxruntime, which LiteRT replaces here")


def test_one_core_is_not_cores(sounddevice: Any, card: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plugged(sounddevice, card, tone(0.5))
    monkeypatch.setattr(doctor, "usable_cores", lambda: 1)
    assert diagnose()[1]["machine"][1].endswith(", 1 core")


@pytest.mark.parametrize(
    ("name", "error", "state", "code"),
    [
        ("crnn.tflite", ModelError("damaged"), "!!", 4),
        ("crnn.tflite", RuntimeUnavailable("LiteRT isn't installed; pip install ai-edge-litert"), "--", 0),
        ("crnn.onnx", ModelError("damaged"), "!!", 4),
        ("crnn.onnx", RuntimeUnavailable("onnxruntime isn't installed; pip install 'ser-edge[onnx]'"), "--", 0),
    ],
)
def test_a_failing_model_comes_before_a_microphone(
    sounddevice: Any, card: Any, name: str, error: ModelError, state: str, code: int
) -> None:
    def fail(path: Path) -> float:
        raise error

    plugged(sounddevice, card, np.zeros(RATE) if code else tone(0.5))
    returned, found, following = diagnose(model_files=lambda: [Path(name)], self_test=fail)
    assert (returned, found[name][0]) == (code, state)
    advice = str(error).partition("; ")[2] or reinstall()
    assert following == (advice if code else command_for(next(iter(FILES))))


# What models cost


def test_a_bundled_model_is_measured_as_live() -> None:
    cost = measure_cost("small")
    assert cost.model == "small"
    assert cost.seconds >= 0


@pytest.mark.parametrize(
    ("seconds", "model", "reason"),
    [
        ((0.1, 0.01), "accurate", "the most accurate, as it takes less than a third of a core"),
        ((0.3, 0.01), "small", "as accurate takes 60 % of a core, more than a third"),
        ((0.9, 0.4), "small", "as accurate takes 180 % of a core, more than a third"),
    ],
)
def test_the_most_accurate_model_that_leaves_time_to_others_is_recommended(
    seconds: tuple[float, ...], model: str, reason: str, sounddevice: Any, card: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugged(sounddevice, card, tone(0.5))
    monkeypatch.setattr(doctor, "FILES", {"accurate": ["a.onnx"], "small": ["b.onnx"]})
    costs = dict(zip(("accurate", "small"), seconds, strict=True))
    code, found, following = diagnose(measure_cost=lambda name: ModelCost(name, costs[name]))
    assert found["accurate"][1] == str(ModelCost("accurate", seconds[0]))
    assert found["recommended"] == ("ok", f"{model}, {reason}; {following}")
    assert (code, following) == (0, command_for(model))


def test_a_model_that_fails_is_not_recommended(sounddevice: Any, card: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str, broken: tuple[str, ...]) -> ModelCost:
        if name in broken:
            raise ModelError("damaged")
        return ModelCost(name, 0.01)

    plugged(sounddevice, card, tone(0.5))
    monkeypatch.setattr(doctor, "FILES", {"accurate": ["a.onnx"], "small": ["b.onnx"]})
    _, found, following = diagnose(measure_cost=lambda name: fails(name, ("accurate",)))
    assert found["recommended"][1] == f"small, the only one that works here; {following}"
    _, found, following = diagnose(measure_cost=lambda name: fails(name, ("accurate", "small")))
    assert "recommended" not in found
    assert following == "ser-edge --mic"


@pytest.mark.parametrize(("found", "state", "text"), [("PyAV", "ok", "PyAV decodes"), (None, "--", "no PyAV and")])
def test_the_decoder_of_phone_recordings(
    found: str | None, state: str, text: str, monkeypatch: pytest.MonkeyPatch, sounddevice: Any, card: Any
) -> None:
    plugged(sounddevice, card, tone(0.5))
    monkeypatch.setattr("ser_edge.audio.decoding.ffmpeg.decoder", lambda: found)
    code, findings, _ = diagnose()
    assert code == 0
    assert findings["media"][0] == state
    assert findings["media"][1].startswith(text)
