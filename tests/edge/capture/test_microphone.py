"""Capturing sound from the PortAudio double of `fake_sounddevice`; `test_virtual_microphone` has a real one."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ser_edge import Recognizer
from ser_edge.audio.downmix import mono_blocks
from ser_edge.audio.resampling import resample
from ser_edge.audio.sound import Sound
from ser_edge.capture.microphone import Microphone
from ser_edge.errors import AudioError, MicrophoneError
from tests import messages
from tests.edge.capture.reader import RATE, microphone, noise, reading, taken


def test_sound_is_captured_sample_by_sample(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(2)
    with reading() as (opened, reader):
        usb.record(sound)
        reader.has(2)
        health = opened.health
    assert reader.sound.dtype == np.float32
    np.testing.assert_array_equal(reader.sound[: len(sound)], sound)
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
def test_a_card_at_another_rate_gives_the_samples_of_a_file(
    sounddevice: Any, card: Any, takes: set[tuple[int, int]], opened_at: tuple[int, int]
) -> None:
    rate, channels = opened_at
    usb = sounddevice.plug(card("USB", channels, rate if rate == 96_000 else 44_100, takes))
    stereo = noise(3, channels, rate)
    with reading() as (opened, reader):
        usb.record(stereo)
        reader.has(2.5)
        assert (opened.health.rate, opened.health.channels) == opened_at
        usb.stream.end()  # what the resampler still holds comes out
        reader.has(3)
    expected = resample(
        np.concatenate([*mono_blocks(Sound(rate, iter([stereo.reshape(-1, channels)]), ""))]), rate, RATE
    )
    np.testing.assert_array_equal(reader.sound[: len(expected)], expected)


@pytest.mark.parametrize("takes", [{(RATE, 1)}, {(48_000, 1)}])
def test_nan_becomes_silence_and_does_not_spread(sounddevice: Any, card: Any, takes: set[tuple[int, int]]) -> None:
    usb = sounddevice.plug(card("USB", takes=takes))
    sound = noise(3, rate=next(iter(takes))[0])
    third = len(sound) // 3
    sound[third : third + 10] = [np.nan, np.inf, -np.inf, *[np.nan] * 7]
    with reading() as (_, reader):
        usb.record(sound)
        reader.has(2.9)
    assert np.isfinite(reader.sound).all()
    assert reader.sound[2 * RATE :].any()


def test_a_dc_offset_is_removed(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(1) / 2
    with reading() as (_, reader):
        usb.record(sound + np.float32(0.1))
        reader.has(1)
    np.testing.assert_allclose(reader.sound[:RATE], sound, atol=1e-6)


def test_a_balanced_microphone_on_a_stereo_jack_does_not_cancel(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(1)
    with reading() as (_, reader):
        usb.record(np.stack([sound, -sound], axis=1))
        reader.has(1)
    np.testing.assert_array_equal(reader.sound[:RATE], sound)


def test_one_channel_of_a_card_is_read(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("array", channels=6)), noise(1, channels=6)
    with microphone(channel=5) as opened:
        usb.record(sound)
        np.testing.assert_array_equal(taken(opened, 1)[:RATE], sound[:, 4])


@pytest.mark.parametrize("channel", [-1, 0, 3])
def test_a_missing_channel_is_refused(channel: int, sounddevice: Any, card: Any) -> None:
    sounddevice.plug(card("USB"))
    with messages.raises(MicrophoneError, "microphone-channel"), microphone(channel=channel):
        pass


@pytest.mark.parametrize("channel", ["1", 1.0])
def test_a_channel_that_is_no_whole_number_is_a_type_error(channel: Any) -> None:
    with pytest.raises(TypeError):
        microphone(channel=channel)


@pytest.mark.parametrize(("rate", "kind"), [(7, AudioError), (10**9, AudioError), ("16000", TypeError)])
def test_a_rate_that_no_recording_has_is_refused(rate: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        Microphone(rate)


def test_a_stream_at_another_rate_than_the_microphones_is_refused() -> None:
    recognizer = Recognizer("small")
    with messages.raises(AudioError, "audio-sample-rate"):
        recognizer.stream(Microphone(48_000), RATE)
    assert isinstance(recognizer.stream(Microphone(48_000), 48_000), Iterator)


def test_it_is_opened_once_and_read_while_it_is_open(sounddevice: Any, card: Any) -> None:
    sounddevice.plug(card("USB"))
    opened = microphone()
    with pytest.raises(ValueError, match="isn't open"):
        next(iter(opened))
    with opened:
        next(iter(opened))
    with pytest.raises(ValueError, match="isn't open"):
        next(iter(opened))
    with pytest.raises(ValueError, match="another"):
        opened.__enter__()


@pytest.mark.parametrize("sound", [np.sign(noise(1)), noise(1) * 3, np.zeros(RATE)])
def test_clipping_and_silence_are_unchanged(sounddevice: Any, card: Any, sound: Any) -> None:
    usb = sounddevice.plug(card("USB"))
    with reading() as (_, reader):
        usb.record(sound.astype(np.float32))
        reader.has(1)
    np.testing.assert_array_equal(reader.sound[:RATE], sound.astype(np.float32))


def test_five_seconds_without_a_reader_lose_nothing(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(5)
    with microphone() as opened:
        usb.record(sound)
        assert opened.health.lag == 5.0
        np.testing.assert_array_equal(taken(opened, 5), sound)
        assert (opened.health.overflows, opened.health.dropped, opened.health.lag) == (0, 0.0, 0.0)


def test_blocks_that_the_queue_drops_are_counted_and_replaced_by_silence(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(18)
    with microphone() as opened:
        usb.record(sound[:RATE])
        first = taken(opened, 1)
        usb.record(sound[RATE : 15 * RATE])
        assert opened.health.lag == 10.0  # no more than that waits
        later = taken(opened, 14)
        usb.record(sound[15 * RATE :])
        last = taken(opened, 3)
        health = opened.health
    captured = np.concatenate((first, later, last))
    expected = sound.copy()
    expected[RATE : 5 * RATE] = 0  # the oldest
    np.testing.assert_array_equal(captured, expected)
    assert (health.overflows, health.dropped, health.lag) == (1, 4.0, 0.0)


def test_an_overflow_in_the_system_is_counted_with_the_time_it_cost(sounddevice: Any, card: Any) -> None:
    usb = sounddevice.plug(card("USB"))
    with reading() as (opened, reader):
        began = time.monotonic()
        usb.record(noise(0.1))
        reader.has(0.1)
        time.sleep(0.15)
        usb.record(noise(0.1), overflow=True)
        took = time.monotonic() - began
        reader.has(0.2)
        health = opened.health
    assert health.overflows == 1
    assert 0.03 < health.dropped < took
    assert (reader.sound == 0).sum() == pytest.approx(health.dropped * RATE, abs=20)
