"""`ser-edge --doctor`: checks what works on this machine, and prints how to fix what doesn't.

A check is a function that yields findings; `_CHECKS` lists them, prerequisites first. Devices are opened to find their
settings, as many claim to support a rate and then refuse it. The bundled models and the voice detector must reproduce
stored answers, and what the models cost decides which is recommended.
"""

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TextIO

import numpy as np

from ser_edge import __version__
from ser_edge.audio.sound import Samples
from ser_edge.capture.devices import Device, choose, devices, open_input_stream
from ser_edge.capture.microphone import Health, Microphone
from ser_edge.capture.portaudio import portaudio, with_timeout
from ser_edge.cli.listen import decibels
from ser_edge.cli.model_costs import ModelCost, measure_cost, recommend
from ser_edge.errors import MicrophoneError, ModelError, RuntimeUnavailable, SerEdgeError
from ser_edge.errors.install_hints import pip_install, reinstall
from ser_edge.errors.native_stderr import isolate_stderr
from ser_edge.models.bundled.names import DEFAULT, FILES
from ser_edge.models.integrity import model_files, self_test
from ser_edge.models.runtimes.base import HAS_LITERT, RUNTIMES
from ser_edge.recognition.batch.tasks import usable_cores
from ser_edge.recognition.voice_activity.voice_detector import CHUNK, RATE, VoiceDetector

OK, NOTE, WRONG = "ok", "--", "!!"
_RATES = (16_000, 44_100, 48_000)  # Hz
_CLIPPED = 0.9999  # the largest 16-bit sample is 0.99997
_QUIET = -60.0  # dBFS RMS; a voice at arm's length is above -45
_REQUIRED = ("numpy", "ai-edge-litert" if HAS_LITERT else "onnxruntime", "soundfile", "soxr")
_SUBSTITUTES = {"ai-edge-litert": ("tflite-runtime", "onnxruntime")}  # where it isn't published
_OPTIONAL = {  # their purpose, and what pip calls them
    "sounddevice": ("microphones", "sounddevice>=0.5"),
    "onnxruntime": (".onnx models", "onnxruntime>=1.20"),
}
_HUM_PROBABILITY = 0.464  # the voice detector's mean for a third of a second of hum like a voice's
_TOLERANCE = 0.02  # of that: processors and runtimes round differently


@dataclass(frozen=True)
class Finding:
    """A line of the report."""

    subject: str
    state: str  # "ok", "--" for a note, "!!" for what must be fixed
    text: str
    advice: str = ""  # the command that fixes it

    def __str__(self) -> str:
        """The line, aligned.

        >>> print(Finding("numpy", "!!", "missing", "pip install numpy"))
        !!  numpy               missing; pip install numpy
        """
        return f"{self.state}  {self.subject:<18}  {self.text}{f'; {self.advice}' if self.advice else ''}"

    @classmethod
    def of(cls, subject: str, error: SerEdgeError, state: str = WRONG, default_advice: str = "") -> "Finding":
        """From an error, whose message is what is wrong, a semicolon, and what to do about it."""
        text, _, advice = str(error).partition("; ")
        return cls(subject, state, text, advice or default_advice)


def _installed_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True)
class DoctorOptions:
    """What is checked, and how."""

    device: int | str | None = None  # the microphone whose level is measured, as `--device` names it
    seconds: float = 3.0  # for which its level is measured
    sound_timeout: float = 15.0  # seconds that the sound system has for an answer
    installed_version: Callable[[str], str | None] = _installed_version  # of a package
    model_files: Callable[[], Sequence[Path]] = model_files
    self_test: Callable[[Path], float] = self_test  # difference from the stored answer; raises ModelError
    measure_cost: Callable[[str], ModelCost] = measure_cost  # of a bundled model, by its alias; raises ModelError


def run_doctor(out: TextIO, options: DoctorOptions | None = None) -> int:
    """Runs all checks, prints a line for each finding as soon as it is made, and at last the next command to type.

    Returns:
        The exit code: 0 for no problem, 4 if a model or what it needs fails, 3 if no microphone is usable.
    """
    options = options or DoctorOptions()
    wrong: list[tuple[int, Finding]] = []
    following = "ser-edge --mic"
    with isolate_stderr():
        for check, code in _CHECKS.items():
            if code == MicrophoneError.exit_code and code in dict(wrong):
                continue  # it needs what has failed
            for finding in check(options):
                print(finding, file=out, flush=True)
                if finding.state == WRONG:
                    wrong.append((code, finding))
                following = finding.advice if finding.subject == "recommended" else following
    code, advice = (wrong[0][0], wrong[0][1].advice) if wrong else (0, following)
    print(f"next: {advice}", file=out, flush=True)
    return code


def _packages(options: DoctorOptions) -> Iterator[Finding]:
    yield Finding("ser-edge", OK, f"{__version__} on Python {platform.python_version()}")
    used = [next(filter(options.installed_version, (name, *_SUBSTITUTES.get(name, ()))), name) for name in _REQUIRED]
    for name in used:
        version = options.installed_version(name)
        yield Finding(name, OK, version) if version else Finding(name, WRONG, "missing", pip_install(name))
    for name, (purpose, requirement) in _OPTIONAL.items():
        if name in used:
            continue
        if version := options.installed_version(name):
            yield Finding(name, OK, version)
        else:
            yield Finding(name, NOTE, f"missing, for {purpose}", pip_install(requirement))


def _media(_: DoctorOptions) -> Iterator[Finding]:
    from ser_edge.audio.decoding.ffmpeg import decoder, install_command

    if found := decoder():
        yield Finding("media", OK, f"{found} decodes .m4a, .webm, .mp4 ...")
    else:
        yield Finding("media", NOTE, "no PyAV and no ffmpeg, for .m4a, .webm, .mp4 ...", install_command())


def _machine(_: DoctorOptions) -> Iterator[Finding]:
    cores = usable_cores()
    system = f"{platform.platform(terse=True)}, {platform.machine()}"
    yield Finding("machine", OK, f"{system}, {cores} core{'s' * (cores > 1)}")


def _models(options: DoctorOptions) -> Iterator[Finding]:
    preferred, (_, runtime) = next(iter(RUNTIMES.items()))
    for path in options.model_files():
        began = time.perf_counter()
        try:
            difference = options.self_test(path)
        except RuntimeUnavailable as error:  # without any runtime the voice detector's check fails too
            missing = error.__cause__
            if path.suffix != preferred and isinstance(missing, ModuleNotFoundError):
                text = f"not checked: needs {missing.name}, which {runtime} replaces here"
                yield Finding(path.name, NOTE, text)
            else:
                yield Finding.of(path.name, error, NOTE, reinstall())
        except ModelError as error:
            yield Finding.of(path.name, error, WRONG, reinstall())
        else:
            seconds = time.perf_counter() - began
            yield Finding(path.name, OK, f"passes its self-test (within {difference:.4f}), in {seconds:.2f} s")


def _costs(options: DoctorOptions) -> Iterator[Finding]:
    costs: list[ModelCost] = []
    for model in FILES:
        with suppress(ModelError):  # which the self-tests report
            costs.append(options.measure_cost(model))
            yield Finding(model, OK, str(costs[-1]))
    if costs:
        model, reason = recommend(costs)
        option = f" --model {model}" * (model != DEFAULT)
        yield Finding("recommended", OK, f"{model}, {reason}", f"ser-edge --mic{option}")


def _voice_detector(_: DoctorOptions) -> Iterator[Finding]:
    try:
        detector = VoiceDetector()
    except ModelError as error:
        yield Finding.of("voice detector", error, default_advice=reinstall())
        return
    phase = 2 * np.pi * 120 / RATE * np.arange(10 * CHUNK)
    hum = np.float32(0.1) * np.sum([np.sin(k * phase) / k for k in range(1, 13)], axis=0, dtype=np.float32)
    mean = np.mean([detector.probability(chunk) for chunk in hum.reshape(-1, CHUNK)])
    difference = abs(mean - _HUM_PROBABILITY)
    if difference <= _TOLERANCE:
        yield Finding("voice detector", OK, f"passes its self-test in {detector.runtime} (within {difference:.4f})")
    else:
        text = f"fails its self-test in {detector.runtime}, by {difference:.3f}"
        yield Finding("voice detector", WRONG, text, reinstall())


def _portaudio(options: DoctorOptions) -> Iterator[Finding]:
    try:
        sd = with_timeout(portaudio, options.sound_timeout)
    except MicrophoneError as error:
        yield Finding.of("PortAudio", error)
        return
    version = sd.get_portaudio_version()[1].removeprefix("PortAudio ").partition(",")[0]
    hosts = ", ".join(host["name"] for host in sd.query_hostapis())
    yield Finding("PortAudio", OK, f"{version} ({hosts})")


def _microphones(options: DoctorOptions) -> Iterator[Finding]:
    try:
        for device in with_timeout(devices, options.sound_timeout):
            settings = with_timeout(partial(_settings, device), options.sound_timeout)
            name = device.name + " (default)" * device.is_default
            text = settings or f"opens at none of {', '.join(map(str, _RATES))} Hz"
            yield Finding(f"device {device.index}", OK if settings else NOTE, f"{name}: {text}")
        with_timeout(partial(choose, options.device), options.sound_timeout)
    except MicrophoneError as error:
        yield Finding.of("microphone", error)


def _settings(device: Device) -> str:
    """The channels and rates at which it opens."""
    found = []
    for channels in dict.fromkeys((1, device.channels)):
        rates = [str(rate) for rate in _RATES if _opens(device, rate, channels)]
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


def _level(options: DoctorOptions) -> Iterator[Finding]:
    yield Finding("level", NOTE, f"speak now: recording for {options.seconds:g} s")
    count = max(1, round(options.seconds * _RATES[0]))
    chunks: list[Samples] = []
    try:
        with Microphone(_RATES[0], options.device) as microphone:
            for chunk in microphone:
                chunks.append(chunk)
                if sum(map(len, chunks)) >= count:
                    break
            health = microphone.health
    except MicrophoneError as error:
        yield Finding.of("level", error)
    else:
        yield _level_finding(np.concatenate(chunks), health)


def _level_finding(samples: Samples, health: Health) -> Finding:
    """Evaluates the level of a recording."""
    peak, rms = float(np.abs(samples).max()), float(np.sqrt(np.square(samples, dtype=np.float64).mean()))
    clipped = int((np.abs(samples) >= _CLIPPED).sum())
    figures = f"peak {decibels(peak):.1f}, RMS {decibels(rms):.1f} dBFS"
    mixer, other = "alsamixer, pavucontrol, or the system's settings", "choose another: ser-edge --list-devices"
    state, text, advice = OK, figures, ""
    if not health.listening and peak == 0:
        state, text, advice = WRONG, "opens, but sends no audio", f"plug it in again, or {other}"
    elif peak == 0:
        state, text, advice = WRONG, "digital silence", f"unmute it ({mixer}), or {other}"
    elif clipped:
        state, text, advice = NOTE, f"{figures}, {clipped} samples clipped", f"turn it down ({mixer})"
    elif decibels(rms) < _QUIET:
        state, text, advice = NOTE, f"{figures}, very quiet", f"speak closer, or turn it up ({mixer})"
    elif health.dropped > 0:
        state, text, advice = NOTE, f"{figures}, {health.dropped:.1f} s lost", "close other programs"
    opened = f"{health.rate} Hz, {health.channels} channel{'s' * (health.channels != 1)}"
    return Finding("level", state, f"{health.device} at {opened}: {text}", advice)


_CHECKS: dict[Callable[[DoctorOptions], Iterator[Finding]], int] = {  # and their exit code if they fail
    **dict.fromkeys((_packages, _media, _machine, _models, _voice_detector, _costs), ModelError.exit_code),
    **dict.fromkeys((_portaudio, _microphones, _level), MicrophoneError.exit_code),
}
