"""Losing a microphone and getting it back, with the PortAudio double of `conftest`."""

import os
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest

from ser_edge.errors import MicrophoneError
from tests import messages
from tests.edge.capture.reader import RATE, capture_threads, microphone, noise, reading, until


def test_an_unplugged_device_is_reopened_when_it_is_back(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB"), card("Other")), noise(1)
    with reading("usb") as (opened, reader):
        usb.record(sound)
        reader.has(1)
        sounddevice.unplug(usb)
        until(lambda: not opened.health.listening)
        gone = time.monotonic()
        time.sleep(0.7)
        sounddevice.plug(usb)  # behind the other one now: another number
        until(lambda: usb.opened == 2)
        usb.record(sound)
        away = time.monotonic() - gone
        until(lambda: opened.health.reconnections == 1)
        assert opened.health.listening
        until(lambda: reader.sound[-RATE:].all())
        assert opened.health.device == "USB"
    captured = reader.sound
    first = np.flatnonzero(captured == 0)[0]
    np.testing.assert_array_equal(captured[:first], sound)
    np.testing.assert_array_equal(captured[-RATE:], sound)
    assert len(captured) / RATE - 2 == pytest.approx(away, abs=1)  # zeros for as long as it took


def test_a_device_that_is_away_is_tried_ever_more_rarely(sounddevice: Any, card: Any) -> None:
    usb = sounddevice.plug(card("USB"))
    with reading() as (opened, reader):
        usb.record(noise(0.1))
        reader.has(0.1)
        began = time.monotonic()
        sounddevice.unplug(usb)
        until(lambda: sounddevice.started >= 6, 30)  # after .05, .15, .35, .75, 1.15 s: later, where others run as well
        took = time.monotonic() - began
        assert took > 1
        assert not opened.health.listening
        until(lambda: len(reader.sound) / RATE > took - 0.3)
        assert len(reader.sound) / RATE < time.monotonic() - began + 1


def test_a_device_without_callbacks_is_reopened(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(0.5)
    with reading() as (opened, reader):
        usb.record(sound)
        reader.has(0.5)
        until(lambda: usb.opened >= 3)  # it opens, and still brings nothing
        assert not opened.health.arriving
        assert not opened.health.listening
        assert opened.health.reconnections == 0
        usb.record(sound)
        until(lambda: opened.health.reconnections == 1)
        assert opened.health.listening


def test_a_pause_is_filled_with_the_time_it_took(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(0.1)
    with reading(stall=5.0) as (opened, reader):
        before = time.monotonic()
        usb.record(sound)
        after = time.monotonic()
        reader.has(0.1)
        time.sleep(0.6)
        least = time.monotonic() - after
        usb.record(sound)
        most = time.monotonic() - before
        until(lambda: reader.sound[-len(sound) :].all() and len(reader.sound) > RATE / 2)
        assert (usb.opened, opened.health.reconnections) == (1, 0)
    # 0.1 s, then a block that came 0.6 s later and holds the last 0.1 s of it
    assert 0.1 + least - 0.05 <= len(reader.sound) / RATE <= 0.1 + most + 0.05


def test_a_moment_without_a_callback_is_no_pause(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(0.5)
    with reading(gap=2.0, stall=5.0) as (_, reader):
        usb.record(sound)
        reader.has(0.5)
        time.sleep(0.4)
        usb.record(sound)  # late, but all of it
        reader.has(1)
    assert any(len(piece) == 0 for piece in reader.pieces)
    np.testing.assert_array_equal(reader.sound[:RATE], np.concatenate((sound, sound)))


def test_a_late_reader_meets_the_pause_where_it_was(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(0.2)
    with microphone() as opened:
        usb.record(sound)
        time.sleep(0.35)
        usb.record(sound)
        sounddevice.unplug(usb)
        time.sleep(0.35)
        sounddevice.plug(usb)
        until(lambda: usb.opened == 2)
        usb.record(sound)
        assert opened.health.lag == pytest.approx(0.6)
        pieces = []
        for piece in opened:
            pieces.append(piece)
            if not opened.health.lag:
                break
    captured = np.concatenate(pieces)
    voiced = np.flatnonzero(np.diff(np.r_[0, captured != 0, 0]))
    assert len(voiced) == 6  # three times sound, with zeros between
    for start, end in voiced.reshape(3, 2):
        np.testing.assert_array_equal(captured[start:end], sound)


def test_a_muted_microphone_is_reopened_ever_more_rarely(sounddevice: Any, card: Any) -> None:
    usb, silence = sounddevice.plug(card("USB")), np.zeros(RATE // 10, np.float32)
    with reading() as (opened, reader):
        usb.record(silence)
        until(lambda: opened.health.listening)
        while usb.opened < 3:  # after 0.6 s, and 1.2 s more
            usb.record(silence)
            time.sleep(0.02)
        usb.record(silence)
        assert not opened.health.listening
        assert opened.health.arriving
        assert opened.health.reconnections == 0
        usb.record(noise(0.1))
        until(lambda: opened.health.listening)
    assert not reader.sound[: -RATE // 5].any()


def test_the_wall_clock_may_jump(sounddevice: Any, card: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    usb, sound, real = sounddevice.plug(card("USB")), noise(1), time.time
    with reading() as (opened, reader):
        for jump in (0, 86_400, -86_400):
            monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
            usb.record(sound)
            time.sleep(0.05)
        reader.has(3)
        assert opened.health.listening
    np.testing.assert_array_equal(reader.sound[: 3 * RATE], np.tile(sound, 3))
    assert usb.opened == 1


@pytest.mark.parametrize("state", ["capturing", "stalled", "gone"])
def test_stopping_takes_a_moment_in_every_state(sounddevice: Any, card: Any, state: str) -> None:
    usb = sounddevice.plug(card("USB"))
    with reading() as (opened, reader):
        usb.record(noise(0.2))
        reader.has(0.2)
        if state == "gone":
            sounddevice.unplug(usb)
        if state != "capturing":
            until(lambda: not opened.health.listening)
        began = time.monotonic()
        opened.stop()
        reader.thread.join(2)
        opened.close()
    assert time.monotonic() - began < 3
    assert not usb.stream.active


def test_a_device_that_hangs_when_it_is_closed_is_left_behind(sounddevice: Any, card: Any) -> None:
    answer = threading.Event()
    usb = sounddevice.plug(card("USB", on_close=lambda: answer.wait(5)))
    with reading() as (opened, reader):
        usb.record(noise(0.2))
        reader.has(0.2)
        until(lambda: not opened.health.listening)
        time.sleep(0.5)  # the thread hangs in closing it; reading goes on
        assert len(reader.sound) > 0.5 * RATE
        began = time.monotonic()
    assert time.monotonic() - began < 4  # it hangs for 5 s
    answer.set()
    until(lambda: not capture_threads())


def test_it_can_be_stopped_in_a_signal_handler(sounddevice: Any, card: Any) -> None:
    sounddevice.plug(card("USB"))
    with microphone() as opened:
        before = signal.signal(signal.SIGUSR1, lambda *_: opened.stop())
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        began = time.monotonic()
        assert not np.concatenate(list(opened)).any()
        assert 0.2 < time.monotonic() - began < 5
        signal.signal(signal.SIGUSR1, before)
        timer.join()


def test_a_bug_in_the_thread_is_raised_where_the_sound_is_read(
    sounddevice: Any, card: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    usb = sounddevice.plug(card("USB"))
    monkeypatch.setattr(sounddevice, "_initialize", broken)
    with microphone() as opened:
        sounddevice.unplug(usb)
        with pytest.raises(ZeroDivisionError):
            list(opened)


def test_a_microphone_that_is_not_there_leaves_another_one_alone(sounddevice: Any, card: Any) -> None:
    usb, sound = sounddevice.plug(card("USB")), noise(1)
    with reading() as (opened, reader):
        with messages.raises(MicrophoneError, "microphone-not-found"), microphone("x"):
            pass
        usb.record(sound)
        reader.has(1)
        assert opened.health.reconnections == 0
    np.testing.assert_array_equal(reader.sound[: len(sound)], sound)
    assert sounddevice.started == 1


def test_two_lost_microphones_both_come_back(sounddevice: Any, card: Any) -> None:
    cards = sounddevice.plug(card("USB")), sounddevice.plug(card("webcam"))
    with reading("USB") as (one, _), reading("webcam") as (other, _):
        for lost in cards:
            lost.record(noise(0.2))
            sounddevice.unplug(lost)
        sounddevice.plug(*cards)

        def are_back() -> bool:
            for back in cards:
                if back.stream.active:
                    back.record(noise(0.2))
            return min(one.health.reconnections, other.health.reconnections) > 0

        until(are_back)
