"""Finding, choosing and opening a microphone, with the PortAudio double of `conftest`."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ser_edge.capture import devices
from ser_edge.capture.devices import Device, choose, choose_again
from ser_edge.errors import MicrophoneError
from tests import messages
from tests.edge.capture.reader import RATE, capture_threads, microphone, until


def test_devices_are_those_that_record(sounddevice: Any, card: Any) -> None:
    sounddevice.cards = [card("HDMI", 0), card("USB Audio", 1, 48_000), card("Evil \x1b[2J", 2)]
    assert devices.devices() == [
        Device(1, "USB Audio", 1, 48_000, True),
        Device(2, "Evil ?[2J", 2, 44_100, False),
    ]
    sounddevice._listed = []
    assert devices.devices() == []


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (None, 1),
        (2, 2),
        ("2", 2),
        ("cam", 3),
        ("CAM", 3),
        ("USB Mic", 2),  # also a part of the next one's name
        ("usb mic pro", 4),
        ("built-in", 1),  # there twice, under two interfaces
    ],
)
def test_a_device_is_chosen_by_number_or_name(
    sounddevice: Any, card: Any, wanted: int | str | None, index: int
) -> None:
    names = ["Built-in", "USB Mic", "Webcam", "USB Mic Pro", "Built-in"]
    sounddevice.cards = [card("HDMI", 0), *map(card, names)]
    assert choose(wanted).index == index


@pytest.mark.parametrize(
    ("wanted", "before", "index"),
    [
        (1, Device(1, "Webcam", 1, 16_000, False), 2),  # the name counts, not the number
        ("usb", Device(3, "USB: - (hw:3,0)", 1, 16_000, False), 0),  # another card number
        ("web", Device(3, "Webcam HD", 1, 16_000, False), 2),  # what was asked for still fits
        (None, Device(2, "Webcam", 1, 16_000, True), 0),  # the default is what it is now
    ],
)
def test_a_device_is_found_again_by_name(
    sounddevice: Any, card: Any, wanted: int | str | None, before: Device, index: int
) -> None:
    sounddevice.cards = [card("USB: - (hw:1,0)"), card("Built-in"), card("Webcam")]
    assert choose_again(wanted, before).index == index


def test_a_device_that_stays_away_is_not_replaced_by_another(sounddevice: Any, card: Any) -> None:
    sounddevice.cards = [card("Built-in"), card("Webcam")]
    with messages.raises(MicrophoneError, "microphone-not-found"):
        choose_again(0, Device(0, "USB", 1, 16_000, True))


HOST = (0, -13, "Permission denied")
REFUSALS = {  # by PaErrorCode
    -9985: "microphone-busy",
    -9994: "microphone-unusable",
    -9996: "microphone-not-found",
    -9997: "microphone-unusable",
    -9998: "microphone-unusable",
    -9986: "microphone-unusable",
}


@pytest.mark.parametrize("number", REFUSALS)
def test_a_refusal_of_portaudio_has_a_code(number: int, sounddevice: Any, card: Any) -> None:
    sounddevice.plug(card("USB", failure=sounddevice.PortAudioError("Internal", number)))
    with messages.raises(MicrophoneError, REFUSALS[number]) as caught, microphone():
        pass
    assert caught.value.exit_code == 3


def test_a_busy_device_is_not_tried_at_twelve_settings(sounddevice: Any, card: Any) -> None:
    sounddevice.cards = [card("USB", failure=sounddevice.PortAudioError("Internal", -9985))]
    with messages.raises(MicrophoneError, "microphone-busy"):
        devices.open_input_stream(choose(), RATE, lambda *_: None, lambda: None)
    assert len(sounddevice.tried) == 1


def test_the_hosts_reason_is_quoted(sounddevice: Any, card: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    usb = sounddevice.plug(card("USB", failure=sounddevice.PortAudioError("Unanticipated", -9999, HOST)))
    with messages.raises(MicrophoneError, "microphone-forbidden"), microphone():
        pass
    usb.failure = sounddevice.PortAudioError("Unanticipated", -9999, (0, -5, "Input/output error"))
    with messages.raises(MicrophoneError, "microphone-unusable") as caught, microphone():
        pass
    assert "Input/output error" in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "names", "code"),
    [
        (None, [], "microphone-not-found"),
        ("x", ["USB"], "microphone-not-found"),
        (7, ["USB", "Webcam"], "microphone-not-found"),
        ("mic", ["USB Mic", "Mic 2", "Cam"], "microphone-ambiguous"),
    ],
)
def test_a_wrong_choice_lists_the_devices(
    sounddevice: Any, card: Any, monkeypatch: pytest.MonkeyPatch, wanted: Any, names: list[str], code: str
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(devices, "ALSA_DEVICES", Path("/nowhere"))
    for name in names:
        sounddevice.plug(card(name))
    with messages.raises(MicrophoneError, code) as caught, microphone(wanted):
        pass
    assert [name for name in names if f"({name})" in str(caught.value)] == [
        name for name in names if wanted != "mic" or "Mic" in name
    ]


@pytest.mark.parametrize(
    "failure",
    [
        'OSError("PortAudio library not found")',
        "ImportError(\"No module named 'sounddevice'\")",
        'RuntimeError("Error initializing")',
    ],
)
def test_a_missing_library_has_a_code(
    monkeypatch: pytest.MonkeyPatch, broken_sounddevice: Callable[[str], None], failure: str
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    broken_sounddevice(f"raise {failure}")
    for ask in (devices.devices, lambda: microphone().__enter__()):
        with messages.raises(MicrophoneError, "microphone-portaudio"):
            ask()


def test_cards_without_permission_are_not_reported_as_none(
    sounddevice: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pcmC0D0c").touch()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(devices, "ALSA_DEVICES", tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with messages.raises(MicrophoneError, "microphone-forbidden"):
        choose()


def test_a_microphone_plugged_in_after_the_listing_is_found(sounddevice: Any, card: Any) -> None:
    assert devices.devices() == []
    usb = sounddevice.plug(card("USB"))
    with microphone("usb"):
        assert usb.opened == 1


def test_a_sound_system_that_never_answers_is_an_error(sounddevice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(sounddevice, "query_devices", lambda kind=None: answer.wait(60) and [])
    with messages.raises(MicrophoneError, "microphone-stalled"), microphone():
        pass
    answer.set()
    until(lambda: not capture_threads())


def test_nothing_is_imported_before_a_microphone_is_used() -> None:
    program = "import json, sys, ser_edge.capture.microphone, ser_edge.cli.doctor; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert not {"sounddevice", "soxr", "soundfile", "onnxruntime"} & set(json.loads(done.stdout))
