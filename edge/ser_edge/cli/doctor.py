"""The check-up: what works on this machine, and what to type about what doesn't.

A check is a function that yields findings; `CHECKS` lists them, what others need first. Devices are opened, not
asked: many say that they take a rate, and refuse it. The bundled models and the voice detector must answer as they did
where they were made.
"""

import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from threading import Thread
from typing import Any, TextIO, TypeVar

import numpy as np

from ser_edge import __version__
from ser_edge.audio.sound import Samples
from ser_edge.capture.devices import Device, choose, devices, open_input_stream
from ser_edge.capture.microphone import Health, Microphone
from ser_edge.capture.portaudio import portaudio
from ser_edge.errors import MicrophoneError, ModelError, RuntimeUnavailable, SerEdgeError
from ser_edge.errors.install_hints import pip_install, reinstall
from ser_edge.errors.native_stderr import isolate_stderr
from ser_edge.models.integrity import model_files, self_test
from ser_edge.models.runtimes.base import HAS_LITERT, RUNTIMES
from ser_edge.recognition.voice_activity.voice_detector import CHUNK, RATE, VoiceDetector

__all__ = ["Finding", "run_doctor"]

OK, NOTE, WRONG = "ok", "--", "!!"
RATES = (16_000, 44_100, 48_000)  # Hz
ANSWERING = 15.0  # seconds the sound system has for one question
CLIPPED = 0.9999  # the largest 16-bit sample is 0.99997
QUIET = -60.0  # dBFS RMS; a voice at arm's length is above -45

Result = TypeVar("Result")

_NEEDED = ("numpy", "ai-edge-litert" if HAS_LITERT else "onnxruntime", "soundfile", "soxr")
_INSTEAD = {"ai-edge-litert": "tflite-runtime"}  # of old systems
_OPTIONAL = {  # what for, and what pip calls it
    "sounddevice": ("microphones", "sounddevice>=0.5"),
    "onnxruntime": (".onnx models", "onnxruntime>=1.20"),
}
_HUM = 0.464  # the voice detector's mean answer to a third of a second of hum like a voice's
_TOLERANCE = 0.02  # of that: processors and runtimes round differently


@dataclass(frozen=True)
class Finding:
    """A line of the check-up."""

    subject: str
    state: str  # "ok"; "--" for what is good to know; "!!" for what must be mended
    text: str
    advice: str = ""  # what to type

    def __str__(self) -> str:
        """The line, aligned.

        >>> print(Finding("numpy", "!!", "missing", "pip install numpy"))
        !!  numpy           missing; pip install numpy
        """
        return f"{self.state}  {self.subject:<14}  {self.text}{f'; {self.advice}' if self.advice else ''}"

    @classmethod
    def of(cls, subject: str, error: SerEdgeError, state: str = WRONG, otherwise: str = "") -> "Finding":
        """What an error says: what is wrong, a semicolon, what to do; or, where it doesn't say that, `otherwise`."""
        text, _, advice = str(error).partition("; ")
        return cls(subject, state, text, advice or otherwise)


@dataclass(frozen=True)
class _Options:
    device: int | str | None
    seconds: float


def run_doctor(out: TextIO, device: int | str | None = None, seconds: float = 3.0) -> int:
    """Checks everything, prints a line for each finding, and last what to type next.

    Args:
        out: gets the lines, each as soon as it is found.
        device: the microphone whose level is measured, as `--device` names it.
        seconds: for how long.

    Returns:
        The exit code: 0 all is well, 4 a model or what it needs fails, 3 no microphone can be used.
    """
    options = _Options(device, seconds)
    wrong: list[tuple[int, Finding]] = []
    with isolate_stderr():
        for check, code in CHECKS:
            if code == MicrophoneError.exit_code and code in dict(wrong):
                continue  # it needs what is wrong already
            for finding in check(options):
                print(finding, file=out, flush=True)
                if finding.state == WRONG:
                    wrong.append((code, finding))
    code, advice = (wrong[0][0], wrong[0][1].advice) if wrong else (0, "ser-edge --mic")
    print(f"next: {advice}", file=out, flush=True)
    return code


def _packages(_: _Options) -> Iterator[Finding]:
    yield Finding("ser-edge", OK, f"{__version__} on Python {platform.python_version()}")
    for name in _NEEDED:
        there = _INSTEAD.get(name, name) if _version(name) is None else name
        version = _version(there)
        yield Finding(there, OK, version) if version else Finding(name, WRONG, "missing", pip_install(name))
    for name, (purpose, requirement) in _OPTIONAL.items():
        if name in _NEEDED:
            continue
        if version := _version(name):
            yield Finding(name, OK, version)
        else:
            yield Finding(name, NOTE, f"missing, for {purpose}", pip_install(requirement))


def _media(_: _Options) -> Iterator[Finding]:
    from ser_edge.audio.decoding.ffmpeg import decoder, install_command

    found = decoder()
    if found is None:
        yield Finding("media", NOTE, "neither PyAV nor ffmpeg is there, for .m4a, .webm, .mp4 ...", install_command())
    else:
        yield Finding("media", OK, f"{found} decodes .m4a, .webm, .mp4 ...")


def _machine(_: _Options) -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("machine", OK, f"{platform.platform(terse=True)}, {platform.machine()}, {cores} cores")


def _models(_: _Options) -> Iterator[Finding]:
    for path in model_files():
        began = time.perf_counter()
        try:
            off = self_test(path)
        except ModelError as error:
            optional = isinstance(error, RuntimeUnavailable) and path.suffix != next(iter(RUNTIMES))
            yield Finding.of(path.name, error, NOTE if optional else WRONG, reinstall())
        else:
            took = time.perf_counter() - began
            yield Finding(path.name, OK, f"answers as where it was made (within {off:.4f}), in {took:.2f} s")


def _voice_detector(_: _Options) -> Iterator[Finding]:
    try:
        detector = VoiceDetector()
    except ModelError as error:
        missing = isinstance(error, RuntimeUnavailable) and not HAS_LITERT
        yield Finding.of("voice detector", error, NOTE if missing else WRONG, reinstall())
        return
    phase = 2 * np.pi * 120 / RATE * np.arange(10 * CHUNK)
    hum = np.float32(0.1) * np.sum([np.sin(k * phase) / k for k in range(1, 13)], axis=0, dtype=np.float32)
    off = abs(np.mean([detector.probability(chunk) for chunk in hum.reshape(-1, CHUNK)]) - _HUM)
    if off <= _TOLERANCE:
        yield Finding("voice detector", OK, f"answers as where it was made (within {off:.4f})")
    else:
        yield Finding("voice detector", WRONG, f"answers otherwise than where it was made, by {off:.3f}", reinstall())


def _portaudio(_: _Options) -> Iterator[Finding]:
    try:
        sd = _answered(portaudio)
    except MicrophoneError as error:
        yield Finding.of("PortAudio", error)
        return
    version = sd.get_portaudio_version()[1].removeprefix("PortAudio ").partition(",")[0]
    hosts = ", ".join(host["name"] for host in sd.query_hostapis())
    yield Finding("PortAudio", OK, f"{version} ({hosts})")


def _microphones(options: _Options) -> Iterator[Finding]:
    try:
        for device in _answered(devices):
            taken = _answered(partial(_settings, device))
            name = device.name + " (default)" * device.is_default
            text = taken or f"opens at none of {', '.join(map(str, RATES))} Hz"
            yield Finding(f"device {device.index}", OK if taken else NOTE, f"{name}: {text}")
        _answered(partial(choose, options.device))
    except MicrophoneError as error:
        yield Finding.of("microphone", error)


def _settings(device: Device) -> str:
    """What it opens at, in words."""
    found = []
    for channels in dict.fromkeys((1, device.channels)):
        rates = [str(rate) for rate in RATES if _opens(device, rate, channels)]
        if rates:
            found.append(f"{'mono' if channels == 1 else f'{channels} channels'} at {' '.join(rates)} Hz")
    return ", ".join(found)


def _opens(device: Device, rate: int, channels: int) -> bool:
    try:
        stream, _, _ = open_input_stream(device, rate, lambda *_: None, lambda: None, settings=[(rate, channels)])
    except MicrophoneError:
        return False
    stream.close()
    return True


def _level(options: _Options) -> Iterator[Finding]:
    yield Finding("level", NOTE, f"say something: listening for {options.seconds:g} s")
    wanted = max(1, round(options.seconds * RATES[0]))
    pieces: list[Samples] = []
    try:
        with Microphone(RATES[0], options.device) as microphone:
            for piece in microphone:
                pieces.append(piece)
                if sum(map(len, pieces)) >= wanted:
                    break
            health = microphone.health
    except MicrophoneError as error:
        yield Finding.of("level", error)
    else:
        yield _judged(np.concatenate(pieces), health)


def _judged(sound: Samples, health: Health) -> Finding:
    """What a recording says of the microphone."""
    peak, rms = float(np.abs(sound).max()), float(np.sqrt(np.square(sound, dtype=np.float64).mean()))
    clipped = int((np.abs(sound) >= CLIPPED).sum())
    figures = f"peak {_decibels(peak):.1f}, RMS {_decibels(rms):.1f} dBFS"
    mixer, other = "alsamixer, pavucontrol, or the system's settings", "choose another: ser-edge --list-devices"
    rules = (
        (not health.listening and peak == 0, WRONG, "opens, but nothing comes", f"plug it in again, or {other}"),
        (peak == 0, WRONG, "digital silence", f"unmute it ({mixer}), or {other}"),
        (clipped > 0, NOTE, f"{figures}, {clipped} samples clipped", f"turn it down ({mixer})"),
        (_decibels(rms) < QUIET, NOTE, f"{figures}, very quiet", f"speak closer, or turn it up ({mixer})"),
        (health.dropped > 0, NOTE, f"{figures}, {health.dropped:.1f} s lost", "close other programs"),
        (True, OK, figures, ""),
    )
    state, text, advice = next(rule[1:] for rule in rules if rule[0])
    opened = f"{health.rate} Hz, {health.channels} channel{'s' * (health.channels != 1)}"
    return Finding("level", state, f"{health.device} at {opened}: {text}", advice)


Check = Callable[[_Options], Iterator[Finding]]
CHECKS: tuple[tuple[Check, int], ...] = (  # and the exit code if something is wrong
    (_packages, ModelError.exit_code),
    (_media, ModelError.exit_code),
    (_machine, ModelError.exit_code),
    (_models, ModelError.exit_code),
    (_voice_detector, ModelError.exit_code),
    (_portaudio, MicrophoneError.exit_code),
    (_microphones, MicrophoneError.exit_code),
    (_level, MicrophoneError.exit_code),
)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _decibels(amplitude: float) -> float:
    return 20 * float(np.log10(max(amplitude, 1e-6)))


def _answered(question: Callable[[], Result]) -> Result:
    """The answer of a sound system that may never give one.

    Raises:
        MicrophoneError: it didn't, or what it raised itself.
    """
    answers: list[Any] = []

    def ask() -> None:
        try:
            answers.append(question())
        except Exception as error:
            answers.append(error)

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWERING)
    if not answers:
        raise MicrophoneError(f"the sound system didn't answer for {ANSWERING:g} s; restart it, or the machine")
    if isinstance(answers[0], Exception):
        raise answers[0]
    result: Result = answers[0]
    return result
