"""Listening, to a PortAudio that does what each test says (`conftest`); `test_virtual_microphone` has a real one."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ser_edge.audio.downmix import mono_blocks
from ser_edge.audio.resampling import resample
from ser_edge.audio.sound import Sound
from ser_edge.capture import capture_thread as keeper
from ser_edge.capture import devices, microphone, portaudio
from ser_edge.capture.devices import Device, choose, choose_again
from ser_edge.capture.microphone import Microphone
from ser_edge.errors import MicrophoneError

RATE = 16_000


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same order of waits, in a tenth of the time."""
    for module, name, seconds in (
        (keeper, "STALL_TIMEOUT", 0.4),
        (keeper, "SILENT", 0.6),
        (keeper, "BACK_OFF", 0.05),
        (keeper, "MAX_BACK_OFF", 0.4),
        (keeper, "_POLL", 0.01),
        (microphone, "STALLED", 0.2),
        (microphone, "SILENT", 0.6),
        (microphone, "OPENING", 0.5),
        (microphone, "CLOSING", 0.5),
    ):
        monkeypatch.setattr(module, name, seconds)


def noise(seconds: float, channels: int = 1, rate: int = RATE) -> npt.NDArray[np.float32]:
    """As 16-bit hardware gives it, never zero, and without DC in any block."""
    half = np.random.default_rng(0).integers(1, 32_768, (round(seconds * rate / 2), channels))
    whole = np.stack([half, -half], axis=1).reshape(-1, channels)
    return (whole / 32_768).astype(np.float32).squeeze()


def until(condition: Callable[[], Any], seconds: float = 3.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def keepers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ser-edge microphone"]


class Listener:
    """Reads a microphone in a thread, as a program would; keeps what came, and how long each step took."""

    def __init__(self, opened: Microphone):
        self.pieces: list[npt.NDArray[np.float32]] = []
        self.longest = 0.0
        self._microphone = opened
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def _listen(self) -> None:
        before = time.monotonic()
        for piece in self._microphone:
            self.longest = max(self.longest, time.monotonic() - before)
            self.pieces.append(piece)
            before = time.monotonic()

    @property
    def sound(self) -> npt.NDArray[np.float32]:
        return np.concatenate([np.zeros(0, np.float32), *self.pieces])

    def has(self, seconds: float) -> None:
        until(lambda: len(self.sound) >= seconds * RATE)


@contextmanager
def listening(device: int | str | None = None) -> Iterator[tuple[Microphone, Listener]]:
    with Microphone(RATE, device) as opened:
        listener = Listener(opened)
        try:
            yield opened, listener
        finally:
            opened.stop()
            listener.thread.join(1)
            assert not listener.thread.is_alive()
    assert listener.longest < 0.5  # 0.25, on a machine that has other things to do


def taken(opened: Microphone, seconds: float) -> npt.NDArray[np.float32]:
    """So much sound at least, read here and now."""
    pieces: list[npt.NDArray[np.float32]] = []
    for piece in opened:
        pieces.append(piece)
        if sum(map(len, pieces)) >= round(seconds * RATE):
            break
    return np.concatenate(pieces)


# Which device


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
    with pytest.raises(MicrophoneError, match="USB"):
        choose_again(0, Device(0, "USB", 1, 16_000, True))


# What can't be opened


HOST = (0, -13, "Permission denied")
REFUSALS = {
    "busy": (
        -9985,
        "in use by another program, or unplugged; close that program, or choose another: ser-edge --list-devices",
    ),
    "no rate": (-9997, "refuses every sample rate that was tried; choose another: ser-edge --list-devices"),
    "no channels": (-9998, "refuses one channel, two, and all it has; choose another: ser-edge --list-devices"),
    "gone": (-9996, "isn't there any more; choose another: ser-edge --list-devices"),
    "other": (-9986, "can't be opened (Internal); choose another: ser-edge --list-devices"),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_a_refusal_is_one_line_that_says_what_to_type(why: str, sounddevice: Any, card: Any) -> None:
    code, line = REFUSALS[why]
    sounddevice.plug(card("USB", failure=sounddevice.PortAudioError("Internal", code)))
    with pytest.raises(MicrophoneError) as caught, Microphone(RATE):
        pass
    assert str(caught.value) == f"USB: {line}"
    assert caught.value.exit_code == 3


def test_a_busy_device_is_not_tried_at_twelve_settings(sounddevice: Any, card: Any) -> None:
    sounddevice.cards = [card("USB", failure=sounddevice.PortAudioError("Internal", -9985))]
    with pytest.raises(MicrophoneError):
        devices.open_input_stream(choose(), RATE, lambda *_: None, lambda: None)
    assert len(sounddevice.tried) == 1


def test_what_the_host_says_is_told(sounddevice: Any, card: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    usb = sounddevice.plug(card("USB", failure=sounddevice.PortAudioError("Unanticipated", -9999, HOST)))
    with pytest.raises(MicrophoneError) as caught, Microphone(RATE):
        pass
    assert str(caught.value) == "USB: no permission to listen; run: sudo usermod -aG audio $USER, then log in again"
    usb.failure = sounddevice.PortAudioError("Unanticipated", -9999, (0, -5, "Input/output error"))
    with (
        pytest.raises(MicrophoneError, match=r"^USB: can't be opened \(Input/output error\); choose another"),
        Microphone(RATE),
    ):
        pass


LIST = "ser-edge --list-devices"
CHOICES = [
    (
        None,
        [],
        "no microphone found; plug one in, or start the sound server (pulseaudio --start), then: " + LIST,
    ),
    ("x", ["USB"], "no microphone is called 'x'; choose one with --device: 0 (USB)"),
    (7, ["USB", "Webcam"], "no microphone has number 7; choose one with --device: 0 (USB), 1 (Webcam)"),
    ("mic", ["USB Mic", "Mic 2", "Cam"], "'mic' fits 2 microphones; choose one by number: 0 (USB Mic), 1 (Mic 2)"),
]


@pytest.mark.parametrize(("wanted", "names", "line"), CHOICES)
def test_a_wrong_choice_is_one_line_that_says_what_there_is(
    sounddevice: Any, card: Any, monkeypatch: pytest.MonkeyPatch, wanted: Any, names: list[str], line: str
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(devices, "Path", lambda _: __import__("pathlib").Path("/nowhere"))
    for name in names:
        sounddevice.plug(card(name))
    with pytest.raises(MicrophoneError) as caught, Microphone(RATE, wanted):
        pass
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError("PortAudio library not found"), r"without PortAudio .*; run: sudo apt install libportaudio2"),
        (
            ImportError("No module named 'sounddevice'"),
            r"without sounddevice .*; run: .* -m pip install 'sounddevice>=0.5'$",
        ),
        (RuntimeError("Error initializing"), r"PortAudio doesn't start .*; restart the sound server"),
    ],
)
def test_a_missing_library_is_one_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    def refuse(name: str) -> Any:
        raise error

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(portaudio, "import_module", refuse)
    for ask in (devices.devices, lambda: Microphone(RATE).__enter__()):
        with pytest.raises(MicrophoneError, match=line) as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_cards_that_one_may_not_open_are_told_from_none(
    sounddevice: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "pcmC0D0c").touch()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(devices, "Path", lambda _: tmp_path)
    monkeypatch.setattr(devices.os, "access", lambda *_: False)
    with pytest.raises(MicrophoneError, match="permitted to use; run: sudo usermod -aG audio"):
        choose()


def test_a_microphone_plugged_in_after_portaudio_looked_is_found(sounddevice: Any, card: Any) -> None:
    assert devices.devices() == []
    usb = sounddevice.plug(card("USB"))
    with Microphone(RATE, "usb"):
        assert usb.opened == 1


def test_a_sound_system_that_never_answers_is_given_up(sounddevice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(sounddevice, "query_devices", lambda kind=None: answer.wait(60) and [])
    with pytest.raises(MicrophoneError, match="didn't answer"), Microphone(RATE):
        pass
    answer.set()
    until(lambda: not keepers())


def test_nothing_is_imported_before_a_microphone_is_wanted() -> None:
    program = "import json, sys, ser_edge.capture.microphone, ser_edge.cli.doctor; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert not {"sounddevice", "soxr", "soundfile", "onnxruntime"} & set(json.loads(done.stdout))


# What is heard


def test_what_the_card_gives_is_what_comes_out(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(2)
    with listening() as (opened, listener):
        usb.hear(sound)
        listener.has(2)
        health = opened.health
    assert listener.sound.dtype == np.float32
    np.testing.assert_array_equal(listener.sound[: len(sound)], sound)
    assert (health.device, health.rate, health.channels, health.listening) == ("USB", RATE, 2, True)
    assert (health.overflows, health.dropped, health.lag, health.reconnections) == (0, 0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("takes", "opened_at"),
    [
        ({(48_000, 2)}, (48_000, 2)),
        ({(44_100, 1), (44_100, 2)}, (44_100, 2)),
        ({(16_000, 2), (48_000, 1)}, (16_000, 2)),
        ({(96_000, 6)}, (96_000, 6)),
    ],
)
def test_a_card_with_settings_of_its_own_sounds_like_a_file(
    sounddevice: Any, card: Any, takes: set[tuple[int, int]], opened_at: tuple[int, int]
) -> None:
    rate, channels = opened_at
    usb = sounddevice.plug(card("USB", channels, rate if rate == 96_000 else 44_100, takes))
    stereo = noise(3, channels, rate)
    with listening() as (opened, listener):
        usb.hear(stereo)
        listener.has(2.5)
        assert (opened.health.rate, opened.health.channels) == opened_at
        usb.stream.end()  # what the resampler still holds comes out
        listener.has(3)
    expected = resample(
        np.concatenate([*mono_blocks(Sound(rate, iter([stereo.reshape(-1, channels)]), ""))]), rate, RATE
    )
    np.testing.assert_array_equal(listener.sound[: len(expected)], expected)


@pytest.mark.parametrize("takes", [{(RATE, 1)}, {(48_000, 1)}])
def test_what_is_not_a_number_is_silence_and_does_not_spread(
    sounddevice: Any, card: Any, takes: set[tuple[int, int]]
) -> None:
    usb = sounddevice.plug(card("USB", takes=takes))
    sound = noise(3, rate=next(iter(takes))[0])
    third = len(sound) // 3
    sound[third : third + 10] = [np.nan, np.inf, -np.inf, *[np.nan] * 7]
    with listening() as (_, listener):
        usb.hear(sound)
        listener.has(2.9)
    assert np.isfinite(listener.sound).all()
    assert listener.sound[2 * RATE :].any()


def test_a_card_with_an_offset_sounds_like_one_without(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(1) / 2
    with listening() as (_, listener):
        usb.hear(sound + np.float32(0.1))
        listener.has(1)
    np.testing.assert_allclose(listener.sound[:RATE], sound, atol=1e-6)


def test_a_balanced_microphone_on_a_stereo_jack_does_not_cancel(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(1)
    with listening() as (_, listener):
        usb.hear(np.stack([sound, -sound], axis=1))
        listener.has(1)
    np.testing.assert_array_equal(listener.sound[:RATE], sound)


def test_one_channel_of_a_card_is_listened_to(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("array", channels=6)), noise(1, channels=6)
    with Microphone(RATE, channel=5) as opened:
        usb.hear(sound)
        np.testing.assert_array_equal(taken(opened, 1)[:RATE], sound[:, 4])


def test_a_channel_that_a_card_does_not_have_is_refused(sounddevice: Any, card: Any) -> None:
    sounddevice.plug(card("USB"))
    with pytest.raises(MicrophoneError, match="USB: no channel 3; it has 2"), Microphone(RATE, channel=3):
        pass


@pytest.mark.parametrize("sound", [np.sign(noise(1)), noise(1) * 3, np.zeros(RATE)])
def test_clipping_and_silence_are_left_alone(sounddevice: Any, card: Any, sound: Any) -> None:
    usb = sounddevice.plug(card("USB"))
    with listening() as (_, listener):
        usb.hear(sound.astype(np.float32))
        listener.has(1)
    np.testing.assert_array_equal(listener.sound[:RATE], sound.astype(np.float32))


def test_five_seconds_without_a_reader_lose_nothing(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(5)
    with Microphone(RATE) as opened:
        usb.hear(sound)
        assert opened.health.lag == 5.0
        np.testing.assert_array_equal(taken(opened, 5), sound)
        assert (opened.health.overflows, opened.health.dropped, opened.health.lag) == (0, 0.0, 0.0)


def test_what_does_not_fit_in_the_queue_is_counted_and_replaced_by_silence(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(18)
    with Microphone(RATE) as opened:
        usb.hear(sound[:RATE])
        first = taken(opened, 1)
        usb.hear(sound[RATE : 15 * RATE])
        assert opened.health.lag == 10.0  # no more than that waits
        later = taken(opened, 14)
        usb.hear(sound[15 * RATE :])
        last = taken(opened, 3)
        health = opened.health
    heard = np.concatenate((first, later, last))
    expected = sound.copy()
    expected[RATE : 5 * RATE] = 0  # the oldest
    np.testing.assert_array_equal(heard, expected)
    assert (health.overflows, health.dropped, health.lag) == (1, 4.0, 0.0)


def test_an_overflow_in_the_system_is_counted_with_the_time_it_cost(sounddevice: Any, card: Any) -> None:
    usb = sounddevice.plug(card("USB"))
    with listening() as (opened, listener):
        began = time.monotonic()
        usb.hear(noise(0.1))
        listener.has(0.1)
        time.sleep(0.15)
        usb.hear(noise(0.1), overflow=True)
        took = time.monotonic() - began
        listener.has(0.2)
        health = opened.health
    assert health.overflows == 1
    assert 0.03 < health.dropped < took
    assert (listener.sound == 0).sum() == pytest.approx(health.dropped * RATE, abs=20)


# What happens to it


def test_a_device_that_was_unplugged_is_heard_again(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB"), card("Other")), noise(1)
    with listening("usb") as (opened, listener):
        usb.hear(sound)
        listener.has(1)
        sounddevice.unplug(usb)
        until(lambda: not opened.health.listening)
        gone = time.monotonic()
        time.sleep(0.7)
        sounddevice.plug(usb)  # behind the other one now: another number
        until(lambda: usb.opened == 2)
        usb.hear(sound)
        away = time.monotonic() - gone
        until(lambda: opened.health.reconnections == 1)
        assert opened.health.listening
        until(lambda: listener.sound[-RATE:].all())
        assert opened.health.device == "USB"
    heard = listener.sound
    first = np.flatnonzero(heard == 0)[0]
    np.testing.assert_array_equal(heard[:first], sound)
    np.testing.assert_array_equal(heard[-RATE:], sound)
    assert len(heard) / RATE - 2 == pytest.approx(away, abs=0.25)  # zeros for as long as it took


def test_a_device_that_is_away_is_tried_ever_more_rarely(sounddevice: Any, card: Any) -> None:
    usb = sounddevice.plug(card("USB"))
    with listening() as (opened, listener):
        usb.hear(noise(0.1))
        listener.has(0.1)
        began = time.monotonic()
        sounddevice.unplug(usb)
        until(lambda: sounddevice.started >= 6, 30)  # after .05, .15, .35, .75, 1.15 s: later, where others run as well
        took = time.monotonic() - began
        assert took > 1
        assert not opened.health.listening
        until(lambda: len(listener.sound) / RATE > took - 0.3)
        assert len(listener.sound) / RATE < time.monotonic() - began + 0.3


def test_a_device_that_stops_calling_back_is_opened_anew(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(0.5)
    with listening() as (opened, listener):
        usb.hear(sound)
        listener.has(0.5)
        until(lambda: usb.opened >= 3)  # it opens, and still brings nothing
        assert not opened.health.arriving
        assert not opened.health.listening
        assert opened.health.reconnections == 0
        usb.hear(sound)
        until(lambda: opened.health.reconnections == 1)
        assert opened.health.listening


def test_a_pause_is_filled_with_the_time_it_took(sounddevice: Any, card: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        keeper, "STALL_TIMEOUT", 5.0
    )  # a source that is suspended, and resumed before anybody gives it up
    usb, sound = sounddevice.plug(card("USB")), noise(0.1)
    with listening() as (opened, listener):
        before = time.monotonic()
        usb.hear(sound)
        after = time.monotonic()
        listener.has(0.1)
        time.sleep(0.6)
        least = time.monotonic() - after
        usb.hear(sound)
        most = time.monotonic() - before
        until(lambda: listener.sound[-len(sound) :].all() and len(listener.sound) > RATE / 2)
        assert (usb.opened, opened.health.reconnections) == (1, 0)
    # 0.1 s, then a block that came 0.6 s later and holds the last 0.1 s of it
    assert 0.1 + least - 0.05 <= len(listener.sound) / RATE <= 0.1 + most + 0.05


def test_a_moment_without_a_callback_is_no_pause(sounddevice: Any, card: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "STALLED", 2.0)
    monkeypatch.setattr(keeper, "STALL_TIMEOUT", 5.0)
    usb, sound = sounddevice.plug(card("USB")), noise(0.5)
    with listening() as (_, listener):
        usb.hear(sound)
        listener.has(0.5)
        time.sleep(0.4)
        usb.hear(sound)  # late, but all of it
        listener.has(1)
    assert any(len(piece) == 0 for piece in listener.pieces)
    np.testing.assert_array_equal(listener.sound[:RATE], np.concatenate((sound, sound)))


def test_a_late_reader_meets_the_pause_where_it_was(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(0.2)
    with Microphone(RATE) as opened:
        usb.hear(sound)
        time.sleep(0.35)
        usb.hear(sound)
        sounddevice.unplug(usb)
        time.sleep(0.35)
        sounddevice.plug(usb)
        until(lambda: usb.opened == 2)
        usb.hear(sound)
        assert opened.health.lag == pytest.approx(0.6)
        pieces = []
        for piece in opened:
            pieces.append(piece)
            if not opened.health.lag:
                break
    heard = np.concatenate(pieces)
    voiced = np.flatnonzero(np.diff(np.r_[0, heard != 0, 0]))
    assert len(voiced) == 6  # three times sound, with zeros between
    for start, end in voiced.reshape(3, 2):
        np.testing.assert_array_equal(heard[start:end], sound)


def test_a_muted_microphone_stays_open_to_be_heard(sounddevice: Any, card: Any) -> None:
    usb, silence = sounddevice.plug(card("USB")), np.zeros(RATE // 10, np.float32)
    with listening() as (opened, listener):
        usb.hear(silence)
        until(lambda: opened.health.listening)
        while usb.opened < 3:  # after 0.6 s, and 1.2 s more
            usb.hear(silence)
            time.sleep(0.02)
        usb.hear(silence)
        assert not opened.health.listening
        assert opened.health.arriving
        assert opened.health.reconnections == 0
        usb.hear(noise(0.1))
        until(lambda: opened.health.listening)
    assert not listener.sound[: -RATE // 5].any()


def test_the_wall_clock_may_jump(sounddevice: Any, card: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    usb, sound, real = sounddevice.plug(card("USB")), noise(1), time.time
    with listening() as (opened, listener):
        for jump in (0, 86_400, -86_400):
            monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
            usb.hear(sound)
            time.sleep(0.05)
        listener.has(3)
        assert opened.health.listening
    np.testing.assert_array_equal(listener.sound[: 3 * RATE], np.tile(sound, 3))
    assert usb.opened == 1


# How it ends


@pytest.mark.parametrize("state", ["hearing", "stalled", "gone"])
def test_stopping_takes_a_moment_in_every_state(sounddevice: Any, card: Any, state: str) -> None:
    usb = sounddevice.plug(card("USB"))
    with listening() as (opened, listener):
        usb.hear(noise(0.2))
        listener.has(0.2)
        if state == "gone":
            sounddevice.unplug(usb)
        if state != "hearing":
            until(lambda: not opened.health.listening)
        began = time.monotonic()
        opened.stop()
        listener.thread.join(2)
        opened.close()
    assert time.monotonic() - began < 0.5
    assert not usb.stream.active


def test_a_device_that_hangs_when_it_is_closed_is_left_behind(sounddevice: Any, card: Any) -> None:
    answer = threading.Event()
    usb = sounddevice.plug(card("USB", on_close=lambda: answer.wait(5)))
    with listening() as (opened, listener):
        usb.hear(noise(0.2))
        listener.has(0.2)
        until(lambda: not opened.health.listening)
        time.sleep(0.5)  # the keeper hangs in closing it; whoever listens goes on
        assert len(listener.sound) > 0.5 * RATE
        began = time.monotonic()
    assert time.monotonic() - began < 1.5
    answer.set()
    until(lambda: not keepers())


def test_it_can_be_stopped_in_a_signal_handler(sounddevice: Any, card: Any) -> None:
    sounddevice.plug(card("USB"))
    with Microphone(RATE) as opened:
        before = signal.signal(signal.SIGUSR1, lambda *_: opened.stop())
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        began = time.monotonic()
        assert not np.concatenate(list(opened)).any()
        assert 0.2 < time.monotonic() - began < 1
        signal.signal(signal.SIGUSR1, before)
        timer.join()


def test_a_bug_in_the_keeper_is_raised_where_the_sound_is_read(
    sounddevice: Any, card: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    usb = sounddevice.plug(card("USB"))
    monkeypatch.setattr(keeper, "refresh", broken)
    with Microphone(RATE) as opened:
        sounddevice.unplug(usb)
        with pytest.raises(ZeroDivisionError):
            list(opened)


def test_standard_error_is_kept_from_native_libraries() -> None:
    program = """
import os, sys
from ser_edge.errors.native_stderr import isolate_stderr
with isolate_stderr():
    os.write(2, b"Expression failed in pa_linux_alsa.c\\n")
    print("ours", file=sys.stderr)
os.write(2, b"theirs again\\n")
print("and ours", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stderr == "ours\ntheirs again\nand ours\n"
