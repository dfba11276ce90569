"""Wrong headers, joined sounds, damage: everything that decodes is decoded, the same from every kind of source."""

import io
import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ser_edge.audio.decoding.byte_streams import PeekableReader
from ser_edge.audio.decoding.containers import pcm
from ser_edge.audio.decoding.containers.segments import decode_segments
from ser_edge.audio.decoding.decoder import open_sound
from ser_edge.audio.decoding.libsndfile import DecodeJob
from ser_edge.errors import AudioError
from tests import messages

RATE = 16_000
_RANDOM = np.random.default_rng(0)


def sentence(seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray[Any, Any]:
    """A hum with noise: what a codec can't make small."""
    time = np.arange(round(seconds * rate)) / rate
    samples = 0.3 * np.sin(2 * np.pi * 220 * time) + 0.05 * _RANDOM.standard_normal(len(time))
    return np.tile(samples[:, None], channels).astype(np.float32)


FIRST, SECOND = sentence(2.0), sentence(1.5)
LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf59.27.100\0"

# format, the mark before its size, where the size is from there, how it is written, what is added to it
SIZES = [
    ("WAV", b"data", 4, "<I", 0),
    ("AIFF", b"SSND", 4, ">I", 8),
    ("AU", b".snd", 8, ">I", 0),
    ("CAF", b"data", 4, ">q", 4),
    ("W64", b"data\xf3", 16, "<Q", 24),
    ("RF64", b"ds64", 16, "<Q", 0),
]


def with_size(content: bytes, mark: bytes, place: int, form: str, size: int) -> bytes:
    changed = bytearray(content)
    struct.pack_into(form, changed, content.index(mark) + place, size)
    return bytes(changed)


@pytest.mark.parametrize(("form", "mark", "place", "pack", "extra"), SIZES)
@pytest.mark.parametrize("size", [0, 1000, 2 * len(FIRST) - 24, 2 * len(FIRST) + 24, 2**31 - 1])
def test_a_wrong_size_is_not_believed(
    form: str,
    mark: bytes,
    place: int,
    pack: str,
    extra: int,
    size: int,
    encoded: Callable[..., bytes],
    decode_all: Any,
) -> None:
    content = with_size(encoded(FIRST, RATE, form, "PCM_16"), mark, place, pack, size + extra * (size > 0))
    decoded = decode_all(content)
    assert len(decoded.samples) == len(FIRST)
    np.testing.assert_allclose(decoded.samples, FIRST, atol=1e-4)
    assert decoded.warnings == ()


@pytest.mark.parametrize(("form", "mark", "place", "pack", "extra"), SIZES)
def test_missing_samples_are_warned_of(
    form: str, mark: bytes, place: int, pack: str, extra: int, encoded: Callable[..., bytes], decode_all: Any
) -> None:
    content = encoded(FIRST, RATE, form, "PCM_16")
    decoded = decode_all(content[: -len(FIRST)])
    assert decoded.seconds == pytest.approx(1.0, abs=0.01)
    (warning,) = decoded.warnings
    assert warning.startswith("truncated or damaged: 1.00 s of 2.00 s could be decoded")


def test_a_wav_without_a_size_can_be_longer_than_a_header_can_say(
    encoded: Callable[..., bytes],
) -> None:
    content = encoded(FIRST, RATE)
    for size in (0xFFFF_FFFF, 0):
        stream = io.BytesIO(with_size(content, b"data", 4, "<I", size))
        job = DecodeJob("it", 1.0)
        parts = pcm.segments(PeekableReader(stream.read, "it"), job, max_part=10_001)  # bytes under one header
        rate, *samples = decode_segments(parts, job)
        assert rate == RATE
        np.testing.assert_allclose(np.concatenate(samples), FIRST, atol=1e-4)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_U8", "IMA_ADPCM"])
def test_a_chunk_after_the_samples_is_not_decoded(subtype: str, encoded: Callable[..., bytes], decode_all: Any) -> None:
    content = encoded(FIRST[:-1], RATE, subtype=subtype)  # an odd number of bytes where each is a sample
    whole = decode_all(content)
    content += bytes(len(content) % 2)
    decoded = decode_all(content + LIST)
    np.testing.assert_array_equal(decoded.samples, whole.samples)
    assert decoded.warnings == ()


def test_a_wav_with_no_samples_and_a_chunk_after_them_is_empty(encoded: Callable[..., bytes], decode_each: Any) -> None:
    content = encoded(FIRST[:0], RATE) + LIST
    for error in decode_each(content).values():
        messages.check(error, "audio-empty")


def test_compressed_blocks_without_a_size_end_where_the_file_does(
    encoded: Callable[..., bytes], decode_all: Any
) -> None:
    content = encoded(FIRST, RATE, subtype="IMA_ADPCM")
    whole = decode_all(content)
    np.testing.assert_array_equal(decode_all(with_size(content, b"data", 4, "<I", 0)).samples, whole.samples)


@pytest.mark.parametrize("form", ["WAV", "AIFF", "AU", "FLAC", "MP3", "OGG", "OPUS"])
@pytest.mark.parametrize(("rate", "channels"), [(RATE, 1), (24_000, 2)])
def test_joined_sounds_are_all_decoded(
    form: str, rate: int, channels: int, encoded: Callable[..., bytes], decode_all: Any
) -> None:
    def file(samples: Any, rate: int) -> bytes:
        return encoded(samples, rate, "OGG", "OPUS") if form == "OPUS" else encoded(samples, rate, form)

    decoded = decode_all(file(FIRST, RATE) + file(sentence(1.5, rate, channels), rate))
    assert (decoded.rate, decoded.samples.shape[1]) == (RATE, 1)
    assert decoded.seconds == pytest.approx(3.5, abs=0.01)
    assert decoded.warnings == ()


def test_what_follows_an_odd_number_of_bytes_is_found(encoded: Callable[..., bytes], decode_all: Any) -> None:
    for form in ("WAV", "CAF", "W64"):
        decoded = decode_all(2 * encoded(FIRST[:-1], RATE, form, "ALAW"))
        assert len(decoded.samples) == 2 * (len(FIRST) - 1)


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "G721_32", "NMS_ADPCM_32"])
def test_compressed_samples_of_a_pipe_are_those_of_a_file(subtype: str, encoded: Callable[..., bytes]) -> None:
    content = encoded(np.tile(FIRST, (4, 1)), RATE, subtype=subtype)  # longer than one part
    stream = SimpleNamespace(read=io.BytesIO(content).read, seekable=lambda: False)
    sounds = []
    for source in (stream, io.BytesIO(content)):
        with open_sound(source) as sound:
            sounds.append(np.concatenate([*sound.chunks]))
    np.testing.assert_array_equal(*sounds)


def test_a_stereo_sound_with_a_mono_one_behind_it_stays_stereo(encoded: Callable[..., bytes], decode_all: Any) -> None:
    decoded = decode_all(encoded(sentence(1.0, RATE, 2), RATE) + encoded(FIRST, RATE))
    assert decoded.samples.shape == (3 * RATE, 2)
    np.testing.assert_allclose(decoded.samples[RATE:], np.repeat(FIRST, 2, axis=1), atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"write_xing": "0"}, {"write_xing": "0", "id3v2_version": "0"}])
def test_mp3_with_and_without_index_is_decoded_to_its_end(
    options: dict[str, str], recorded: Callable[..., bytes], decode_all: Any
) -> None:
    def file(samples: Any, rate: int = RATE) -> bytes:
        return recorded(samples, rate, "mp3", "libmp3lame", **options)

    alone, both = decode_all(file(FIRST)), decode_all(file(FIRST) + file(sentence(1.5, 32_000, 2), 32_000))
    assert alone.seconds == pytest.approx(2.0, abs=0.1)
    assert both.seconds == pytest.approx(3.5, abs=0.2)
    assert alone.warnings == both.warnings == ()


def test_an_mp3_whose_rate_of_bits_varies_has_no_length_to_guess(
    recorded: Callable[..., bytes], decode_all: Any
) -> None:
    quiet_first = np.concatenate([np.zeros((3 * RATE, 1), np.float32), sentence(3.0)])
    for options in ({"write_xing": "0"}, {}):
        content = recorded(quiet_first, RATE, "mp3", "libmp3lame", **options)
        content += recorded(sentence(1.0), RATE, "mp3", "libmp3lame", **options)
        assert decode_all(content).seconds == pytest.approx(7, abs=0.2)


def test_an_index_that_is_wrong_is_not_believed(encoded: Callable[..., bytes], decode_all: Any) -> None:
    content = encoded(FIRST, RATE, "MP3")
    place = max(content.find(b"Xing"), content.find(b"Info")) + 8
    for frames, warned in ((5, False), (999, True)):
        decoded = decode_all(content[:place] + struct.pack(">I", frames) + content[place + 4 :])
        assert decoded.seconds == pytest.approx(2.0, abs=0.12)
        assert bool(decoded.warnings) == warned


def test_tags_and_a_little_garbage_around_an_mp3_are_no_sound(encoded: Callable[..., bytes], decode_all: Any) -> None:
    content = encoded(FIRST, RATE, "MP3")
    whole = decode_all(content)
    id3 = b"ID3\4\0\0\0\0\0\x64" + bytes(100)
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0) + bytes(8)
    for around in (id3 + content + b"TAG" + bytes(125), content + ape, id3 + id3 + content + bytes(20)):
        decoded = decode_all(around)
        np.testing.assert_array_equal(decoded.samples, whole.samples)
        assert decoded.warnings == ()


@pytest.mark.parametrize("form", ["MP3", "FLAC", "OGG", "OPUS"])
def test_a_hole_is_warned_of_and_the_sound_around_it_is_decoded(
    form: str, encoded: Callable[..., bytes], decode_all: Any
) -> None:
    long = sentence(20.0)
    content = encoded(long, RATE, "OGG", "OPUS") if form == "OPUS" else encoded(long, RATE, form)
    size = len(content) // 20
    for place in (len(content) // 3, len(content) // 2):
        decoded = decode_all(content[:place] + bytes(size) + content[place + size :])
        assert 13 < decoded.seconds < 20
        (warning,) = decoded.warnings
        assert "damaged" in warning


def test_a_small_hole_is_passed_over_in_silence(encoded: Callable[..., bytes], decode_all: Any) -> None:
    content = encoded(sentence(20.0), RATE, "MP3")
    decoded = decode_all(content[:9000] + bytes(9) + content[9009:])
    assert decoded.seconds == pytest.approx(20, abs=0.2)
    assert decoded.warnings == ()


def count_of_flac(content: bytes, count: int) -> bytes:
    """With another number of samples in its header."""
    fields = int.from_bytes(content[18:26], "big") >> 36 << 36 | count
    return content[:18] + fields.to_bytes(8, "big") + content[26:]


@pytest.mark.parametrize(("count", "warned"), [(0, False), (1000, False), (2 * RATE, False), (10**9, True)])
def test_flac_is_decoded_to_its_end_whatever_its_header_declares(
    count: int, warned: bool, encoded: Callable[..., bytes], decode_all: Any
) -> None:
    decoded = decode_all(count_of_flac(encoded(FIRST, RATE, "FLAC"), count))
    np.testing.assert_allclose(decoded.samples, FIRST, atol=1e-4)
    assert bool(decoded.warnings) == warned


def test_damaged_flac_of_unknown_length_is_warned_of(encoded: Callable[..., bytes], decode_all: Any) -> None:
    content = count_of_flac(encoded(sentence(20.0), RATE, "FLAC"), 0)
    place = len(content) // 2
    decoded = decode_all(content[:place] + bytes(9000) + content[place + 9000 :])
    assert 18 < decoded.seconds < 20
    assert decoded.warnings
    tagged = decode_all(content + b"TAG" + bytes(125))
    assert (tagged.seconds, tagged.warnings) == (20, ())


def test_one_stream_of_sound_is_found_among_others(encoded: Callable[..., bytes], decode_all: Any) -> None:
    content = encoded(FIRST, RATE, "OGG", "VORBIS")
    other = encoded(SECOND, RATE, "OGG", "VORBIS")
    pages = [content[: content.index(b"OggS", 4)], other[: other.index(b"OggS", 4)]]
    mixed = b"".join(pages) + content[len(pages[0]) :] + other[len(pages[1]) :]
    assert decode_all(mixed).seconds == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("form", ["FLAC", "MP3", "OGG"])
def test_nothing_that_decodes_is_an_error(form: str, encoded: Callable[..., bytes], decode_each: Any) -> None:
    content = encoded(FIRST, RATE, form)
    for answer in decode_each(content[:60] + bytes(3000)).values():
        assert isinstance(answer, AudioError) or not answer.samples.any()
