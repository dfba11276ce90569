"""Corruptions do what their names state, and live windows cover a recording."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_train.evaluation.corruptions import (
    BABBLE_SPEAKERS,
    CORRUPTIONS,
    RATE,
    WINDOW_SECONDS,
    Recording,
    live_windows,
    speech_span,
)


def tone(hertz: float, seconds: float, level: float = 0.1) -> npt.NDArray[np.float32]:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def spoken(before: float, speech: float, after: float) -> Recording:
    """Somebody hums between two silences, among six others, each at a pitch of their own."""
    hum = sum(tone(150 * k, speech, 0.1 / k) for k in range(1, 30))
    samples = np.pad(hum, (round(before * RATE), round(after * RATE))).astype(np.float32)
    span = slice(round(before * RATE), round((before + speech) * RATE))
    others = tuple(tone(1000 * (k + 1), 0.5, 0.01 * (k + 1)) for k in range(BABBLE_SPEAKERS))
    return Recording(samples, span, others)


def corrupted(name: str, recording: Recording, seed: int = 0) -> npt.NDArray[np.float32]:
    return CORRUPTIONS[name](recording, np.random.default_rng(seed))


def decibels(samples: npt.NDArray[np.floating]) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def band(samples: npt.NDArray[np.floating], low: float, high: float) -> float:
    """dB of what is between two frequencies."""
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(10 * np.log10(spectrum[(hertz >= low) & (hertz < high)].sum()))


@pytest.fixture(scope="module")
def recording() -> Recording:
    return spoken(0.5, 1.5, 0.8)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_repeatable_and_as_long_as_the_recording(name: str, recording: Recording) -> None:
    samples = corrupted(name, recording)
    assert samples.dtype == np.float32
    assert samples.shape == recording.samples.shape
    assert np.isfinite(samples).all()
    np.testing.assert_array_equal(samples, corrupted(name, recording))
    assert np.array_equal(samples, recording.samples) == (name == "as recorded")


@pytest.mark.parametrize("ratio", [20, 10, 5])
@pytest.mark.parametrize("kind", ["white noise", "six others talk"])
def test_noise_is_as_loud_as_its_name_states_and_everywhere(kind: str, ratio: int, recording: Recording) -> None:
    noise = corrupted(f"{kind}, {ratio} dB", recording) - recording.samples
    speech = recording.speech
    assert decibels(recording.samples[speech]) - decibels(noise[speech]) == pytest.approx(ratio, abs=0.01)
    for part in (noise[: speech.start], noise[speech.stop :]):
        assert decibels(part) == pytest.approx(decibels(noise[speech]), abs=0.5)


def test_the_noise_of_every_ratio_is_the_same_noise(recording: Recording) -> None:
    loud, soft = (corrupted(f"white noise, {ratio} dB", recording) - recording.samples for ratio in (5, 20))
    np.testing.assert_allclose(loud, soft * 10 ** (15 / 20), atol=1e-5)


def test_babble_is_all_the_others_equally_loud(recording: Recording) -> None:
    babble = corrupted("six others talk, 5 dB", recording) - recording.samples
    levels = [band(babble, 1000 * (k + 1) - 50, 1000 * (k + 1) + 50) for k in range(BABBLE_SPEAKERS)]
    assert max(levels) - min(levels) < 1
    assert band(babble, 1200, 1800) < min(levels) - 15


def test_gain_rounds_and_clips_as_a_converter_does(recording: Recording) -> None:
    steps = corrupted("20 dB louder, clipped", recording) * 32768
    assert (steps.min(), steps.max()) == (-32768, 32767)
    inside = np.abs(recording.samples) < 0.09
    np.testing.assert_allclose(steps[inside], recording.samples[inside] * 327_680, atol=0.51)
    softer = corrupted("20 dB softer, 16 bits", recording) * 32768
    np.testing.assert_array_equal(softer, np.round(softer))
    assert np.abs(softer - recording.samples * 3276.8).max() <= 0.51


def test_a_telephone_has_a_band(recording: Recording) -> None:
    noise = replace(recording, samples=np.float32(0.05) * np.random.default_rng(0).standard_normal(RATE, np.float32))
    output = corrupted("telephone", noise)
    middle = band(output, 1000, 1100)
    assert middle == pytest.approx(band(noise.samples, 1000, 1100), abs=0.5)
    for low in (50, 4500, 6000):
        assert band(output, low, low + 100) < middle - 20
    quantized = corrupted("telephone", replace(recording, samples=tone(1000, 1.0)))[RATE // 2 :]
    assert band(quantized, 1100, 3400) > band(quantized, 995, 1005) - 60  # the steps of mu-law, some 38 dB below


@pytest.mark.parametrize(("name", "kilobits"), [("MP3, 24 kbit/s", 24), ("Opus, 16 kbit/s", 16)])
def test_codecs_keep_to_their_bit_rate_and_come_back_in_time(
    name: str, kilobits: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, write = [], soundfile.write

    def weighed(memory: Any, *arguments: Any, **settings: Any) -> None:
        write(memory, *arguments, **settings)
        sizes.append(len(memory.getbuffer()))

    monkeypatch.setattr(soundfile, "write", weighed)
    recording = spoken(0.1, 3.0, 0.1)
    output = corrupted(name, recording)
    assert sizes[0] * 8 / 1000 / 3.2 == pytest.approx(kilobits, rel=0.4)
    spectra = np.fft.rfft([recording.samples, output], 1 << 17)
    assert np.fft.irfft(spectra[0].conj() * spectra[1]).argmax() in (0, 1)  # samples late
    assert decibels(output) == pytest.approx(decibels(recording.samples), abs=2)


def test_a_room_adds_a_tail_that_decays(recording: Recording) -> None:
    click = np.zeros(RATE, np.float32)
    click[1000] = 0.5
    output = corrupted("small room", replace(recording, samples=click))[1000:]
    assert output[0] == pytest.approx(0.5, abs=1e-5)
    assert 10 * np.log10(0.25 / np.square(output[1:], dtype=np.float64).sum()) == pytest.approx(5, abs=0.1)
    at_once, later = output[1:1601], output[3201:4801]  # 0.2 s apart, half of RT60
    assert decibels(at_once) - decibels(later) == pytest.approx(30, abs=2)


def test_speech_is_found_between_silences(recording: Recording) -> None:
    found = speech_span(recording.samples)
    assert abs(found.start - recording.speech.start) < 0.03 * RATE
    assert abs(found.stop - recording.speech.stop) < 0.03 * RATE


@pytest.mark.parametrize(
    ("seconds", "starts"),
    [(3.0, [0, 0.5, 1.0]), (2.0, [0, 0.5, 1.0, 1.5, 2.0]), (1.5, [0.5, 1.0, 1.5, 2.0])],
)
def test_live_windows_that_hold_enough_speech_count(seconds: float, starts: list[float]) -> None:
    recording = spoken(1.0, 2.0, 1.0)
    recording = replace(recording, samples=np.arange(4 * RATE, dtype=np.float32))  # each sample is its own index
    windows = live_windows(recording, seconds)
    assert [round(float(window[0]) / RATE, 3) for window in windows] == starts
    assert {len(window) for window in windows} == {round(seconds * RATE)}


def test_with_little_speech_the_window_that_has_most_counts() -> None:
    recording = spoken(2.6, 0.3, 0.1)
    (window,) = live_windows(recording, 1.5)
    np.testing.assert_array_equal(window, recording.samples[-round(1.5 * RATE) :])


@pytest.mark.parametrize("seconds", WINDOW_SECONDS)
def test_a_recording_shorter_than_a_window_is_one(seconds: float) -> None:
    recording = spoken(0.1, 0.9, 0.1)
    (window,) = live_windows(recording, seconds)
    np.testing.assert_array_equal(window, recording.samples)
