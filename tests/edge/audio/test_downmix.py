"""DC offsets, channels that cancel, and the choice of a channel."""

from itertools import pairwise

import numpy as np
import pytest

from ser_edge.audio.downmix import Downmix, mono_blocks
from ser_edge.audio.sound import Channels, Samples, Sound
from ser_edge.errors import AudioError
from tests import messages
from tests.conftest import voice

RATE = 16_000
VOICE = voice(3, 1, 1, 3.05)


def mono(channels: Channels, cuts: list[int] | None = None, channel: int | None = None) -> Samples:
    """(samples, channels), in chunks that end at `cuts`."""
    ends = [0, *(cuts or []), len(channels)]
    chunks = (channels[a:b] for a, b in pairwise(ends))
    return np.concatenate([*mono_blocks(Sound(RATE, chunks, "sound"), channel)])


def columns(*channels: Samples) -> Channels:
    return np.stack(channels, axis=1).astype(np.float32)


@pytest.mark.parametrize("offset", [0.01, -0.01, 0.1, -0.1])
def test_an_offset_makes_no_difference(offset: float) -> None:
    np.testing.assert_allclose(mono(columns(VOICE + offset)), mono(columns(VOICE)), atol=1e-6)


def test_an_offset_that_wanders_is_followed() -> None:
    wander = 0.1 * np.exp(-np.arange(len(VOICE)) / RATE)  # a card whose input settles within a second
    left = mono(columns(VOICE + wander)) - mono(columns(VOICE))
    assert np.abs(left).max() < 0.04


def test_an_offset_that_jumps_is_gone_after_seconds() -> None:
    sound = np.tile(VOICE, 4)
    jump = np.where(np.arange(len(sound)) > 5 * RATE, np.float32(0.1), np.float32(0))
    left = mono(columns(sound + jump)) - mono(columns(sound))
    assert np.abs(left[-RATE:]).max() < 0.001  # 6 s later


def test_a_voice_without_offset_stays_as_it_is() -> None:
    left = mono(columns(VOICE)) - VOICE
    assert np.abs(left).max() < 0.02 * np.abs(VOICE).max()


def test_digital_silence_stays_digital_silence() -> None:
    assert not mono(np.zeros((RATE, 2), np.float32)).any()


@pytest.mark.parametrize("cuts", [[1], [1600], [1599, 1601], list(range(7, 48_000, 333)), [16_000, 16_000, 32_000]])
def test_how_a_sound_is_cut_makes_no_difference_to_the_bit(cuts: list[int]) -> None:
    stereo = columns(VOICE + 0.05, -VOICE)
    np.testing.assert_array_equal(mono(stereo, cuts), mono(stereo))


def test_channels_are_averaged() -> None:
    other = voice(5, 9, 1, 3.05)
    np.testing.assert_allclose(mono(columns(VOICE, other)), mono(columns((VOICE + other) / 2)), atol=1e-6)


@pytest.mark.parametrize("other", [-1.0, -0.9, -1.1])
def test_channels_that_cancel_are_not_averaged(other: float) -> None:
    stereo = columns(VOICE, other * VOICE)
    mixed = mono(stereo)
    assert np.sqrt(np.mean(mixed**2)) > 0.8 * np.sqrt(np.mean(VOICE**2))


def test_an_offset_does_not_hide_that_channels_cancel() -> None:
    upright = np.abs(mono(columns(VOICE + 0.1, 0.1 - VOICE)))  # of both, either may be taken
    np.testing.assert_allclose(upright, np.abs(mono(columns(VOICE))), atol=1e-6)


def test_one_voice_among_silent_channels_keeps_its_level() -> None:
    silent = np.zeros_like(VOICE)
    np.testing.assert_allclose(mono(columns(silent, silent, VOICE, silent, silent, silent)), mono(columns(VOICE)))


def test_the_channel_that_is_asked_for_is_taken() -> None:
    other = voice(5, 9, 1, 3.05)
    np.testing.assert_array_equal(mono(columns(VOICE, other), channel=2), mono(columns(other)))


def test_a_channel_that_is_not_there_is_refused() -> None:
    with messages.raises(AudioError, "audio-channels"):
        mono(columns(VOICE, VOICE), channel=3)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e30])
def test_what_no_recording_has_is_silence_and_does_not_spread(wrong: float) -> None:
    damaged = VOICE.copy()
    damaged[20_000:20_010] = wrong
    left = mono(columns(damaged)) - mono(columns(np.where(damaged == VOICE, VOICE, 0)))
    assert not left.any()


def test_recordings_of_one_and_two_channels_can_follow_one_another() -> None:
    downmix = Downmix(RATE)
    parts = [columns(VOICE), columns(VOICE, VOICE), columns(VOICE)]
    blocks = [block for part in parts for block in downmix.blocks(part)] + [*downmix.finish()]
    assert sum(map(len, blocks)) == 3 * len(VOICE)


def test_channels_that_stop_cancelling_are_averaged_again() -> None:
    inverted, loud = voice(1, 1, 1, 1.0), 2 * voice(3, 5, 1, 4.0)
    left, right = np.concatenate([inverted, loud]), np.concatenate([-inverted, 0.5 * loud])
    averaged = mono(columns((left + right) / 2))
    np.testing.assert_allclose(mono(columns(left, right))[-RATE:], averaged[-RATE:], atol=1e-5)


def test_of_channels_that_cancel_the_one_that_became_louder_is_taken() -> None:
    first, second = voice(1, 1, 1, 1.0), voice(3, 5, 1, 4.0)
    left, right = np.concatenate([first, 0.1 * second]), np.concatenate([-0.99 * first, -second])
    np.testing.assert_array_equal(mono(columns(left, right))[-RATE:], mono(columns(right))[-RATE:])
