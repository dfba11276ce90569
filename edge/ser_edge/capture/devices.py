"""Microphones: listed, chosen by number or name, opened at settings that they take.

Every failure is a `MicrophoneError` with the next command to type. Reading a microphone is `microphone`'s.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from ser_edge.capture.portaudio import on_this_system, portaudio
from ser_edge.errors import MicrophoneError
from ser_edge.errors.native_stderr import suppress_native_stderr

ALSA_DEVICES = Path("/dev/snd")
BLOCK = 0.1  # seconds in a callback; PortAudio's default can be a single frame
_LATENCY = 0.3  # seconds that the system buffers: three callbacks, so that a late one loses nothing
_LIST = "ser-edge --list-devices"

# Errors that other settings may avoid, by PaErrorCode: format -9994, rate -9997, channels -9998, host -9999.
_TRY_OTHERS = frozenset({-9994, -9997, -9998, -9999})
_REASONS = {  # by PaErrorCode: (code, message)
    -9985: ("microphone-busy", "in use by another program, or unplugged; close that program, or choose another"),
    -9994: ("microphone-unusable", "gives no format that can be read; choose another"),
    -9996: ("microphone-not-found", "isn't there any more; choose another"),
    -9997: ("microphone-unusable", "refuses every sample rate that was tried; choose another"),
    -9998: ("microphone-unusable", "refuses one channel, two, and all it has; choose another"),
}
_PERMIT = {
    "linux": "run: sudo usermod -aG audio $USER, then log in again",
    "darwin": "allow this terminal in System Settings > Privacy & Security > Microphone",
    "win32": "allow desktop apps in Settings > Privacy & security > Microphone",
}
_PLUG = {
    "linux": f"plug one in, or start the sound server (pulseaudio --start), then: {_LIST}",
    "darwin": f"plug one in, then: {_LIST}",
    "win32": f"plug one in, or enable it in Settings > System > Sound, then: {_LIST}",
}


@dataclass(frozen=True)
class Device:
    """A microphone, as PortAudio lists it."""

    index: int  # changes when devices come and go; the name stays
    name: str
    channels: int  # the most it offers
    sample_rate: int  # Hz, its default; it may take others
    is_default: bool  # used where none is chosen

    def __str__(self) -> str:
        """A line of a list.

        >>> print(Device(1, "USB Audio", 2, 44_100, True))
          1  USB Audio  (2 channels, 44100 Hz, default)
        """
        channels = f"{self.channels} channel{'s' * (self.channels != 1)}"
        return f"{self.index:3}  {self.name}  ({channels}, {self.sample_rate} Hz{', default' * self.is_default})"


def devices() -> list[Device]:
    """The devices that can record, in PortAudio's order; none where the system shows none.

    Raises MicrophoneError without PortAudio.
    """
    sd = portaudio()
    try:
        listed = list(sd.query_devices())
    except sd.PortAudioError as e:
        problem = f"PortAudio can't list the devices ({e}); run: ser-edge --doctor"
        raise MicrophoneError(problem, code="microphone-portaudio") from e
    default = -1
    with suppress(sd.PortAudioError, ValueError):  # there is none
        default = sd.query_devices(kind="input")["index"]
    return [
        Device(
            index,
            "".join(letter if letter.isprintable() else "?" for letter in info["name"]),  # it goes to the terminal
            info["max_input_channels"],
            round(info["default_samplerate"]),
            index == default,
        )
        for index, info in enumerate(listed)
        if info["max_input_channels"] > 0
    ]


def choose(wanted: int | str | None = None) -> Device:
    """The device of a number, a name or a part of one; by default the system's.

    Raises MicrophoneError where there is no device, none like that, or more than one.
    """
    found = devices()
    if not found:
        raise _none_found()
    if wanted is None:
        for device in found:
            if device.is_default:
                return device
        raise _not_found("no default microphone", found)
    text = str(wanted).strip()
    if text.isdecimal():
        for device in found:
            if str(device.index) == (text.lstrip("0") or "0"):
                return device
        raise _not_found(f"no microphone has number {text}", found)
    fitting = [device for device in found if text.lower() in device.name.lower()]
    exact = [device for device in fitting if device.name.lower() == text.lower()]
    if not fitting:
        raise _not_found(f"no microphone is called {text!r}", found)
    if not exact and len({device.name for device in fitting}) > 1:
        problem = f"{text!r} fits {len(fitting)} microphones; choose one by number: {_listed(fitting)}"
        raise MicrophoneError(problem, code="microphone-ambiguous")
    return (exact or fitting)[0]  # a name that is there twice is one device under two interfaces


def choose_again(wanted: int | str | None, before: Device) -> Device:
    """The device `before`, returned by `choose(wanted)`, after it was gone: by name, for its number may have changed.

    Raises MicrophoneError where it isn't connected.
    """
    if wanted is None:
        return choose()
    # ALSA's "USB Audio: - (hw:2,0)" may come back as another card.
    texts = [before.name, before.name.partition(" (hw:")[0], *([wanted] if not str(wanted).isdecimal() else [])]
    for text in texts[:-1]:
        with suppress(MicrophoneError):
            return choose(text)
    return choose(texts[-1])


def open_input_stream(
    device: Device,
    sample_rate: int,
    on_audio: Callable[[Any, int, Any, Any], None],
    on_finished: Callable[[], None],
    channel: int | None = None,
    settings: Iterable[tuple[int, int]] | None = None,
) -> tuple[Any, int, int]:
    """Opens and starts a device, at the given rate where it takes it, else at one of its own.

    Args:
        device: to open.
        sample_rate: Hz, preferred.
        on_audio: called by PortAudio's thread for each `BLOCK`: (frames, channels) float32, their number, times, flags.
        on_finished: called when the stream ends, for any reason.
        channel: that has to be among the opened ones, from 1 on; None is any.
        settings: (Hz, channels) to try; by default that rate and what devices usually take. Two channels first: opened
            with one, a sound server adds both sides of a stereo jack, where a balanced microphone cancels.

    Returns:
        The running stream (sounddevice's), its rate in Hz and its channels.

    Raises:
        MicrophoneError: it takes none of these, is busy, gone, or not permitted.
    """
    sd = portaudio()
    if channel is not None and not 1 <= channel <= device.channels:
        problem = f"{device.name}: no channel {channel}; it has {device.channels}, counted from 1"
        raise MicrophoneError(problem, code="microphone-channel")
    if settings is None:
        rates = dict.fromkeys((sample_rate, device.sample_rate, 48_000, 44_100))
        counts = (min(2, device.channels), 1, device.channels) if channel is None else (device.channels, channel)
        settings = product(rates, dict.fromkeys(counts))
    failure: Exception = ValueError("nothing to try")
    for rate, channels in settings:
        stream = None
        try:
            with suppress_native_stderr():  # PortAudio prints each refusal
                stream = sd.InputStream(
                    samplerate=rate,
                    blocksize=round(rate * BLOCK),
                    device=device.index,
                    channels=channels,
                    dtype="float32",  # what 16-bit hardware gives, divided by 32768: exactly as from a file
                    latency=_LATENCY,
                    callback=on_audio,
                    finished_callback=on_finished,
                )
                stream.start()
        except (sd.PortAudioError, ValueError) as e:
            if stream is not None:
                stream.close()
            failure = e
            if _portaudio_code(e) not in _TRY_OTHERS:
                break
        else:
            return stream, rate, channels
    raise _explained(failure, device) from failure


def _portaudio_code(error: Exception) -> int:
    """PortAudio's PaErrorCode, 0 where there is none."""
    code = error.args[1] if len(error.args) > 1 else 0
    return code if isinstance(code, int) else 0


def _explained(error: Exception, device: Device) -> MicrophoneError:
    host = str(error.args[2][2]) if len(error.args) > 2 else ""  # the message of ALSA, Core Audio, ...
    if "permission" in host.lower() or "not permitted" in host.lower():
        advice = on_this_system(_PERMIT)
        return MicrophoneError(f"{device.name}: no permission to record; {advice}", code="microphone-forbidden")
    other = ("microphone-unusable", f"can't be opened ({host or str(error.args[0])}); choose another")
    code, reason = _REASONS.get(_portaudio_code(error), other)
    return MicrophoneError(f"{device.name}: {reason}: {_LIST}", code=code)


def _none_found() -> MicrophoneError:
    cards = list(ALSA_DEVICES.glob("pcm*c"))  # hidden by ALSA without the permission to open them
    if cards and not any(os.access(card, os.R_OK | os.W_OK) for card in cards):
        problem = f"no microphone that you are permitted to use; {on_this_system(_PERMIT)}"
        return MicrophoneError(problem, code="microphone-forbidden")
    return MicrophoneError(f"no microphone found; {on_this_system(_PLUG)}", code="microphone-not-found")


def _not_found(problem: str, found: list[Device]) -> MicrophoneError:
    advice = f"choose one with --device: {_listed(found)}"
    return MicrophoneError(f"{problem}; {advice}", code="microphone-not-found")


def _listed(found: list[Device]) -> str:
    return ", ".join(f"{device.index} ({device.name})" for device in found)
