"""Files and pipes in pieces are the same sound as in one."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ser_edge.audio.chunks import SAMPLE_FORMATS, RawFormat, file_blocks, pipe_blocks, raw_blocks
from ser_edge.audio.reading import read
from ser_edge.errors import AudioError

RATE = 16_000
SAMPLES = np.clip(np.random.default_rng(0).normal(0, 0.2, 25 * RATE + 17), -1, 0.99).astype(np.float32)


class Pipe(io.BufferedReader):
    """Bytes that can't be sought in, and come a few at a time."""

    def __init__(self, data: bytes):
        super().__init__(_Trickle(data), 4096)


class _Trickle(io.RawIOBase):
    def __init__(self, data: bytes):
        self._left = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), 1777)
        piece, self._left = self._left[:size], self._left[size:]
        buffer[: len(piece)] = piece
        return len(piece)


def encoded(form: str, subtype: str = "PCM_16") -> bytes:
    """`SAMPLES` as a file of that format."""
    out = io.BytesIO()
    soundfile.write(out, SAMPLES, RATE, format=form, subtype=subtype)
    return out.getvalue()


@pytest.mark.parametrize("form", ["WAV", "FLAC", "AIFF", "AU"])
def test_a_pipe_gives_what_the_file_holds(form: str) -> None:
    data = encoded(form)
    with pipe_blocks(Pipe(data), "-") as blocks:
        assert blocks.rate == RATE
        got = np.concatenate(list(blocks.pieces))
    assert np.array_equal(got, read(io.BytesIO(data), RATE))


def test_a_wav_that_does_not_know_its_length_is_read_to_the_end() -> None:
    data = bytearray(encoded("WAV"))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"  # what ffmpeg writes to a pipe
    with pipe_blocks(Pipe(bytes(data)), "-") as blocks:
        assert sum(map(len, blocks.pieces)) == len(SAMPLES)


def test_a_pipe_that_ends_early_gives_what_came() -> None:
    data = encoded("WAV")[: 44 + 2 * RATE + 1]  # in the middle of a sample
    with pipe_blocks(Pipe(data), "-") as blocks:
        assert sum(map(len, blocks.pieces)) == RATE


@pytest.mark.parametrize("name", SAMPLE_FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_without_a_header(name: str, channels: int) -> None:
    kind = SAMPLE_FORMATS[name]
    scale = {"u1": 2**7, "<i2": 2**15, "i3": 2**31, "<i4": 2**31}.get(kind, 1)
    values = SAMPLES[:5000].astype(np.float64) * scale
    if kind == "i3":
        data = (values.astype("<i4") >> 8).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    else:
        data = (values + 128 * (kind == "u1")).astype(kind).tobytes()
    data_width = int(kind[-1]) * channels
    if channels == 2:
        data = np.repeat(np.frombuffer(data, np.uint8).reshape(-1, int(kind[-1])), 2, axis=0).tobytes()
    with raw_blocks(Pipe(data + b"\0" * (data_width > 1)), RawFormat(RATE, channels, name)) as blocks:
        got = np.concatenate(list(blocks.pieces))
    assert got == pytest.approx(SAMPLES[:5000], abs=1.01 / 128 if kind == "u1" else 1e-4)


def test_a_file_in_pieces_is_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(encoded("FLAC"))
    with file_blocks(tmp_path / "a.flac") as blocks:
        pieces = list(blocks.pieces)
    assert len(pieces) == 3
    assert np.array_equal(np.concatenate(pieces), read(tmp_path / "a.flac", RATE))


def test_a_truncated_file_gives_what_it_has_and_then_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(encoded("WAV")[: 44 + 24 * RATE])
    got: list[int] = []
    with file_blocks(tmp_path / "a.wav") as blocks, pytest.raises(AudioError, match="truncated"):
        got.extend(map(len, blocks.pieces))
    assert sum(got) == 12 * RATE


def test_many_channels_and_few_samples_are_no_transposed_array(tmp_path: Path) -> None:
    sound = np.tile(SAMPLES[: 10 * RATE + 3, None], 40)  # the last piece has three samples
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    with file_blocks(tmp_path / "a.wav") as blocks:
        assert [len(piece) for piece in blocks.pieces] == [10 * RATE, 3]
    with raw_blocks(Pipe(sound[:3].tobytes()), RawFormat(RATE, 40, "f32")) as blocks:
        assert np.concatenate(list(blocks.pieces)) == pytest.approx(SAMPLES[:3])
