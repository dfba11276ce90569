"""Whatever holds a sound becomes mono float32 at the rate asked for; whatever doesn't is refused, saying why."""

import io
import struct
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_edge.audio import arrays, decoding
from ser_edge.errors import AudioError

RATE = 16_000
HUM = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)  # one second
WAV_SIZE = slice(40, 44)  # where a plain WAV header keeps it


def encoded(samples: npt.ArrayLike = HUM, rate: int = RATE, file: str = "WAV", subtype: str | None = None) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.asarray(samples), rate, format=file, subtype=subtype)
    return stream.getvalue()


def read(sound: bytes, **options: Any) -> arrays.Samples:
    return decoding.read(io.BytesIO(sound), RATE, **options)


def with_field(sound: bytes, field: slice, value: int) -> bytes:
    changed = bytearray(sound)
    changed[field] = struct.pack("<I", value)
    return bytes(changed)


def pitch(samples: arrays.Samples, rate: int = RATE) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


class Pipe(io.RawIOBase):
    """Bytes that can be read once, as from a pipe."""

    def __init__(self, content: bytes):
        self._rest = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._rest.readinto(buffer)


@pytest.mark.parametrize(
    ("file", "subtype", "tolerance"),
    [
        ("WAV", "PCM_U8", 1 / 127),
        ("WAV", "PCM_16", 1 / 32_767),
        ("WAV", "PCM_24", 1 / 8_388_607),
        ("WAV", "PCM_32", 1e-7),
        ("WAV", "FLOAT", 0),
        ("WAV", "DOUBLE", 0),
        ("WAVEX", "PCM_16", 1 / 32_767),
        ("FLAC", "PCM_16", 1 / 32_767),
        ("FLAC", "PCM_24", 1 / 8_388_607),
        ("AIFF", "PCM_16", 1 / 32_767),
        ("AU", "PCM_16", 1 / 32_767),
        ("OGG", "VORBIS", 0.05),
    ],
)
def test_formats_give_the_samples_that_were_written(file: str, subtype: str, tolerance: float) -> None:
    samples = read(encoded(file=file, subtype=subtype))
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, HUM, atol=tolerance)


@pytest.mark.parametrize("file", ["MP3", "OGG"])
def test_lossy_formats_keep_length_and_tone(file: str) -> None:
    samples = read(encoded(file=file, subtype={"MP3": None, "OGG": "OPUS"}[file]))
    assert samples.shape == (RATE,)
    assert pitch(samples) == pytest.approx(440, abs=1)


def test_channels_are_averaged() -> None:
    np.testing.assert_allclose(read(encoded(np.stack([HUM, HUM / 2], axis=1), subtype="FLOAT")), 0.75 * HUM, atol=1e-7)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_other_rates_are_resampled_and_keep_length_and_tone(rate: int) -> None:
    hum = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    samples = read(encoded(hum, rate))
    assert samples.shape == (RATE,)
    assert pitch(samples) == pytest.approx(440, abs=1)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.02)


def test_seconds_cuts_and_never_pads() -> None:
    np.testing.assert_array_equal(read(encoded(), seconds=0.25), read(encoded())[: RATE // 4])
    assert len(read(encoded(), seconds=9.0)) == RATE


def test_a_pipe_is_read_as_a_file_is() -> None:
    np.testing.assert_array_equal(decoding.read(io.BufferedReader(Pipe(encoded())), RATE), read(encoded()))


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_wav_that_was_piped_does_not_know_its_size_and_is_fine(size: int) -> None:
    np.testing.assert_array_equal(read(with_field(encoded(), WAV_SIZE, size)), read(encoded()))


# librosa imports audioread, which imports what Python 3.13 will lack
@pytest.mark.filterwarnings("ignore:'(aifc|audioop|sunau)' is deprecated:DeprecationWarning")
def test_samples_are_those_of_librosa_load(sounds: list[Path]) -> None:
    for path in sounds:
        for rate in (RATE, 22_050):
            reference, _ = librosa.load(path, sr=rate)
            samples = decoding.read(path, rate)
            assert len(reference) - len(samples) in (0, 1)  # librosa rounds the length up, and adds a zero
            np.testing.assert_allclose(samples, reference[: len(samples)], atol=1e-6)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a sound file that can be read"),
        (encoded()[:16_044], "truncated: holds 16000 of 32000 bytes of sound; copy it again"),
        (encoded(np.zeros(RATE)), "silent, nothing above -80 dBFS"),
    ],
)
@pytest.mark.parametrize("seconds", [None, 3.0])
def test_a_bad_sound_is_refused_alike_by_path_and_as_a_stream(
    content: bytes, reason: str, seconds: float | None, tmp_path: Path
) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    for source, name in [(path, str(path)), (str(path), str(path)), (io.BytesIO(content), "the stream")]:
        with pytest.raises(AudioError) as refusal:
            decoding.read(source, RATE, seconds)
        assert str(refusal.value).startswith(f"{name}: {reason}")


@pytest.mark.parametrize(
    ("dtype", "scale", "tolerance"),
    [
        (np.int8, 127, 1 / 64),
        (np.int16, 32_767, 1e-4),
        (np.int32, 2**31 - 1, 1e-6),
        (np.float16, 1, 1e-3),
        (np.float32, 1, 0),
        (np.float64, 1, 1e-7),
    ],
)
def test_arrays_of_every_sample_type_mean_the_same(dtype: type, scale: float, tolerance: float) -> None:
    samples = arrays.from_array((HUM * scale).astype(dtype), RATE, RATE)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, HUM, atol=tolerance)


def test_bytes_are_centred_as_in_a_wav() -> None:
    np.testing.assert_allclose(arrays.from_array((HUM * 127 + 128).astype(np.uint8), RATE, RATE), HUM, atol=1 / 64)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_arrays_of_channels_are_averaged(channels: int) -> None:
    np.testing.assert_allclose(arrays.from_array(np.stack([HUM] * channels, axis=1), RATE, RATE), HUM, atol=1e-7)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_an_array_and_its_file_are_the_same_sound(rate: int) -> None:
    # 1.7 s, cut to 1 s: the cut comes before the resampler in both, whose filter would hear what follows
    noise = np.random.default_rng(0).uniform(-1, 1, (round(1.7 * rate), 2)).astype(np.float32)
    from_file = read(encoded(noise, rate, subtype="FLOAT"), seconds=1.0)
    np.testing.assert_array_equal(arrays.from_array(noise, rate, RATE, seconds=1.0), from_file)


@pytest.mark.parametrize(
    ("array", "rate", "reason"),
    [
        (np.stack([HUM, HUM]), RATE, "(2, 16000) looks like (channels, samples); pass its transpose"),
        (np.ones((2, 2, 2)), RATE, "expected (samples,) or (samples, channels), got 3 dimensions"),
        (np.float32(1), RATE, "expected (samples,) or (samples, channels), got 0 dimensions"),
        ([[1.0, 2.0], [3.0]], RATE, "no array can be made of it"),
        (HUM > 0, RATE, "bool is no sample format"),
        (HUM.astype(complex), RATE, "complex128 is no sample format"),
        (HUM.astype(np.uint16), RATE, "uint16 is no sample format"),
        (np.array(["loud"]), RATE, "<U4 is no sample format"),
        ([], RATE, "empty, no samples in it"),
        (np.zeros((0, 2)), RATE, "empty, no samples in it"),
        (np.zeros((5, 0)), RATE, "empty, no samples in it"),
        (np.zeros(RATE), RATE, "silent, nothing above -80 dBFS"),
        (np.full(RATE, np.nan), RATE, "holds NaN or infinite samples"),
        (np.full(RATE, 1e300), RATE, "holds NaN or infinite samples"),
        (HUM, 0, "a sample rate of 0 Hz"),
        (HUM, float("nan"), "a sample rate of nan Hz"),
    ],
)
def test_arrays_that_hold_no_sound_are_refused(array: npt.ArrayLike, rate: int, reason: str) -> None:
    with pytest.raises(AudioError) as refusal:
        arrays.from_array(array, rate, RATE)
    assert str(refusal.value).startswith(f"array: {reason}")


def test_a_file_opened_as_text_is_refused(sounds: list[Path]) -> None:
    with sounds[0].open(encoding="latin-1") as file, pytest.raises(AudioError, match="opened as text"):
        decoding.read(file, 16_000)
