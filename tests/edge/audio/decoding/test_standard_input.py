"""Standard input while it is written: sound files, and samples without a header."""

import io
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ser_edge.audio.decoding.standard_input import SAMPLE_FORMATS, RawFormat, pipe_sound, raw_sound
from ser_edge.errors.user_warnings import capture_warnings

RATE = 16_000
SAMPLES = np.clip(np.random.default_rng(0).normal(0, 0.2, 9 * RATE + 17), -1, 0.99).astype(np.float32)


def written(content: bytes) -> io.BufferedReader:
    """The reading end of a pipe that the bytes are written to."""
    receiver, sender = os.pipe()

    def write() -> None:
        with os.fdopen(sender, "wb") as out:
            out.write(content)

    threading.Thread(target=write, daemon=True).start()
    return os.fdopen(receiver, "rb")


@pytest.mark.parametrize("form", ["WAV", "AIFF", "AU", "FLAC", "MP3", "OGG"])
def test_chunks_come_while_the_rest_is_still_to_be_written(form: str, encoded: Callable[..., bytes]) -> None:
    content = encoded(SAMPLES, RATE, form)
    receiver, sender = os.pipe()
    with os.fdopen(receiver, "rb") as stream, os.fdopen(sender, "wb") as out:
        threading.Thread(target=lambda: (out.write(content[: -len(content) // 4]), out.flush()), daemon=True).start()
        with pipe_sound(stream, "-") as sound:
            came = 0
            while came < 4 * RATE:  # else it would wait for ever
                came += len(next(sound.chunks))
            out.close()
            assert sum(map(len, sound.chunks)) > RATE


@pytest.mark.parametrize("name", SAMPLE_FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_without_a_header(name: str, channels: int) -> None:
    kind = SAMPLE_FORMATS[name]
    scale = {"u1": 2**7, "<i2": 2**15, "i3": 2**31, "<i4": 2**31}.get(kind, 1)
    values = np.repeat(SAMPLES[:5000].astype(np.float64) * scale, channels)
    if kind == "i3":
        data = (values.astype("<i4") >> 8).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    else:
        data = (values + 128 * (kind == "u1")).astype(kind).tobytes()
    rest = b"\0" * (int(kind[-1]) * channels > 1)  # of a frame, where the writer was stopped
    with written(data + rest) as stream, raw_sound(stream, RawFormat(RATE, channels, name)) as sound:
        got = np.concatenate(list(sound.chunks))
    assert got.shape == (5000, channels)
    tolerance = 1.01 / 128 if kind == "u1" else 1e-4
    for column in got.T:
        np.testing.assert_allclose(column, SAMPLES[:5000], atol=tolerance)


def test_many_channels_and_few_samples_are_no_transposed_array() -> None:
    frames = np.tile(SAMPLES[:3, None], 40)
    with written(frames.tobytes()) as stream, raw_sound(stream, RawFormat(RATE, 40, "f32")) as sound:
        np.testing.assert_array_equal(np.concatenate(list(sound.chunks)), frames)


def test_warnings_of_a_pipe_go_where_the_others_go(encoded: Callable[..., bytes]) -> None:
    lines: list[str] = []
    content = encoded(SAMPLES, RATE)
    with (
        capture_warnings(lines.append),
        written(content[: len(content) // 2]) as stream,
        pipe_sound(stream, "-") as sound,
    ):
        assert sum(map(len, sound.chunks)) == pytest.approx(len(SAMPLES) / 2, abs=RATE / 10)
    assert len(lines) == 1
    assert lines[0].startswith("-: truncated or damaged: 4.50 s of 9.00 s")


def test_a_pipe_is_not_kept_in_memory(encoded: Callable[..., bytes]) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            size = min(len(buffer), 4096)
            buffer[:size] = (header + bytes(size))[:size] if not self.given else bytes(size)
            self.given += size
            return size

    header = encoded(SAMPLES[:0], RATE)[:40] + b"\xff" * 4
    source = Endless()
    with pipe_sound(io.BufferedReader(source), "-") as sound:
        next(sound.chunks)
        threading.Event().wait(0.3)  # it may read ahead, up to a limit
        before = source.given
        threading.Event().wait(0.3)
        assert source.given == before < 8 << 20  # bytes
