"""Sound files of each format are decoded to the samples that were written."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile

from ser_edge.audio.decoding.decoder import open_sound
from ser_edge.audio.reading import read
from ser_edge.errors import AudioError
from tests import messages

RATE = 16_000
HUM = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)  # one second


def pitch(samples: Any, rate: int = RATE) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


@pytest.mark.parametrize(
    ("form", "subtype", "tolerance"),
    [
        ("WAV", "PCM_U8", 1 / 127),
        ("WAV", "PCM_16", 1 / 32_767),
        ("WAV", "PCM_24", 1 / 8_388_607),
        ("WAV", "PCM_32", 1e-7),
        ("WAV", "FLOAT", 0),
        ("WAV", "DOUBLE", 0),
        ("WAV", "ULAW", 0.02),
        ("WAVEX", "PCM_16", 1 / 32_767),
        ("RF64", "PCM_16", 1 / 32_767),
        ("W64", "PCM_24", 1 / 8_388_607),
        ("FLAC", "PCM_16", 1 / 32_767),
        ("FLAC", "PCM_24", 1 / 8_388_607),
        ("AIFF", "PCM_16", 1 / 32_767),
        ("AU", "PCM_16", 1 / 32_767),
        ("CAF", "PCM_16", 1 / 32_767),
        ("CAF", "ALAC_16", 1 / 32_767),
        ("OGG", "VORBIS", 0.05),
    ],
)
def test_formats_give_the_samples_that_were_written(
    form: str, subtype: str, tolerance: float, encoded: Callable[..., bytes], decode_all: Any
) -> None:
    for sound in (HUM, np.stack([HUM, HUM / 2], axis=1)):
        decoded = decode_all(encoded(sound, RATE, form, subtype))
        assert decoded.samples.dtype == np.float32
        assert (decoded.rate, decoded.warnings) == (RATE, ())
        np.testing.assert_allclose(decoded.samples, sound.reshape(RATE, -1), atol=tolerance)


@pytest.mark.parametrize(("form", "subtype"), [("MP3", None), ("OGG", "OPUS"), ("WAV", "IMA_ADPCM")])
def test_lossy_formats_keep_length_and_tone(
    form: str, subtype: str | None, encoded: Callable[..., bytes], decode_all: Any
) -> None:
    decoded = decode_all(encoded(HUM, RATE, form, subtype))
    assert decoded.seconds == pytest.approx(1, abs=0.04)  # ADPCM comes in blocks
    assert pitch(decoded.samples[:, 0]) == pytest.approx(440, abs=5)
    assert decoded.warnings == ()


@pytest.mark.parametrize("companion", ["._hum.{}", ".AppleDouble/hum.{}"])
@pytest.mark.parametrize("form", ["MP3", "WAV", "FLAC", "OGG"])
def test_metadata_of_macos_beside_a_sound_changes_nothing(
    form: str, companion: str, encoded: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser_edge.audio.decoding.ffmpeg.decoder", lambda: None)
    suffix = form.lower()
    path, beside = tmp_path / f"hum.{suffix}", tmp_path / companion.format(suffix)
    path.write_bytes(encoded(HUM, RATE, form))
    sounds = []
    for content in (None, b"", b"\0\x05\x16\x07" + bytes(200)):
        if content is not None:
            beside.parent.mkdir(exist_ok=True)
            beside.write_bytes(content)
        with open_sound(path) as sound:
            sounds.append(np.concatenate([*sound.chunks]))
    for decoded in sounds[1:]:
        np.testing.assert_allclose(decoded, sounds[0], atol=1e-6)


def test_a_long_file_comes_in_pieces(encoded: Callable[..., bytes], tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    path.write_bytes(encoded(np.tile(HUM, 25), RATE, "FLAC"))
    with open_sound(path) as sound:
        chunks = [len(chunk) for chunk in sound.chunks]
        assert max(chunks) <= 10 * RATE
        assert sum(chunks) == 25 * RATE
        assert sound.seconds == 25


def test_many_channels_and_few_samples_are_no_transposed_array(encoded: Callable[..., bytes], tmp_path: Path) -> None:
    path = tmp_path / "many.wav"
    path.write_bytes(encoded(np.tile(HUM[:3, None], 40), RATE, subtype="FLOAT"))
    with open_sound(path) as sound:
        assert [chunk.shape for chunk in sound.chunks] == [(3, 40)]


# librosa imports audioread, which imports what Python 3.13 will lack
@pytest.mark.filterwarnings("ignore:'(aifc|audioop|sunau)' is deprecated:DeprecationWarning")
def test_samples_are_those_of_librosa_load(sounds: list[Path]) -> None:
    for path in sounds:
        reference, rate = librosa.load(path, sr=None)
        with open_sound(path) as sound:
            samples = np.concatenate(list(sound.chunks))[:, 0]
        assert sound.rate == rate
        np.testing.assert_allclose(samples, reference, atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_other_rates_are_resampled_and_keep_length_and_tone(
    rate: int, encoded: Callable[..., bytes], tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate), rate))
    samples = read(path, RATE)
    assert samples.shape == (RATE,)
    assert pitch(samples) == pytest.approx(440, abs=1)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.02)


def test_seconds_cuts_and_never_pads(sounds: list[Path]) -> None:
    whole = read(sounds[0], RATE)
    np.testing.assert_allclose(read(sounds[0], RATE, seconds=0.3), whole[: round(0.3 * RATE)], atol=1e-3)
    assert len(read(sounds[0], RATE, seconds=99.0)) == len(whole)


def test_silence_is_refused_in_training(encoded: Callable[..., bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(np.zeros(RATE), RATE))
    with messages.raises(AudioError, "audio-silent"):
        read(path, RATE)


def test_a_file_opened_as_text_is_refused(sounds: list[Path]) -> None:
    with (
        sounds[0].open(encoding="latin-1") as file,
        messages.raises(AudioError, "audio-file-object"),
        open_sound(file),  # type: ignore[arg-type]
    ):
        pass


def test_any_exception_of_a_library_is_about_one_sound(
    sounds: list[Path], command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> Any:
        raise KeyError("unexpected")

    with monkeypatch.context() as patch:
        patch.setattr(soundfile.SoundFile, "samplerate", property(fail))
        code, answered, lines = command("--jobs", "1", *sounds[:2])
    assert (code, answered) == (1, [])
    assert messages.codes_in("\n".join(lines)) == ["audio-damaged"] * 2
    assert command("--jobs", "1", *sounds[:2])[0] == 0


@pytest.mark.parametrize("content", ["samples", "FLAC"])
def test_a_name_in_raw_ends_no_batch(
    content: str, encoded: Callable[..., bytes], sounds: list[Path], command: Any, tmp_path: Path
) -> None:
    path = tmp_path / "x.raw"
    path.write_bytes((HUM * 32_767).astype("<i2").tobytes() if content == "samples" else encoded(HUM, RATE, "FLAC"))
    code, answered, lines = command("--no-gate", path, sounds[0])
    if content == "FLAC":
        assert (code, answered) == (0, [str(path), str(sounds[0])])
    else:
        assert (code, answered) == (1, [str(sounds[0])])
        assert messages.codes_in("\n".join(lines)) == ["audio-headerless"]


def test_a_path_that_is_no_file_is_read_as_it_comes(sounds: list[Path], tmp_path: Path, command: Any) -> None:
    with sounds[0].open("rb") as file:
        assert command("--no-gate", f"/dev/fd/{file.fileno()}")[:2] == (0, [f"/dev/fd/{file.fileno()}"])


class Stopped(io.BytesIO):
    """A file in which Ctrl-C comes while it is read, once."""

    left = 100_000

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.left -= len(data)
        if self.left < 0:
            self.left = 1 << 60
            raise KeyboardInterrupt
        return data


@pytest.mark.parametrize("form", ["WAV", "AIFF", "CAF", "FLAC", "MP3"])
def test_ctrl_c_while_a_file_object_is_read_is_not_lost(form: str, encoded: Callable[..., bytes]) -> None:
    content = encoded(np.random.default_rng(0).normal(0, 0.1, 60 * RATE), RATE, form)
    with pytest.raises(KeyboardInterrupt), open_sound(Stopped(content), "it") as sound:
        list(sound.chunks)


def test_ctrl_c_while_ffmpeg_reads_a_file_object_is_not_lost(recorded: Callable[..., bytes]) -> None:
    content = recorded(np.tile(HUM, 180), RATE, "matroska", "flac")
    with pytest.raises(KeyboardInterrupt), open_sound(Stopped(content), "it") as sound:
        list(sound.chunks)
