"""Sound files of every format, and their samples from every kind of source."""

import importlib.util
import io
import itertools
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_edge.audio.decoding import ffmpeg
from ser_edge.audio.decoding.decoder import open_sound
from ser_edge.audio.decoding.standard_input import pipe_sound
from ser_edge.audio.sound import Sound
from ser_edge.errors import AudioError
from ser_edge.errors.user_warnings import capture_warnings


@dataclass(frozen=True)
class Decoded:
    """The samples of a source."""

    samples: npt.NDArray[np.float32]  # (samples, channels)
    rate: int
    warnings: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


class Trickle(io.RawIOBase):
    """Bytes that can't be sought in, and come a few at a time."""

    def __init__(self, content: bytes):
        self._left = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), 1777)
        piece, self._left = self._left[:size], self._left[size:]
        buffer[: len(piece)] = piece
        return len(piece)


def _decode(sound: AbstractContextManager[Sound]) -> Decoded | AudioError:
    warnings: list[str] = []
    try:
        with capture_warnings(warnings.append), sound as opened:
            samples = np.concatenate(list(opened.chunks))
    except AudioError as error:
        return error
    return Decoded(samples, opened.rate, tuple(warnings))


@pytest.fixture
def decode_each(tmp_path: Path) -> Callable[[bytes], dict[str, Decoded | AudioError]]:
    """Decodes a file from each kind of source, into the sound or the error by its name."""

    def decode(content: bytes) -> dict[str, Decoded | AudioError]:
        path = tmp_path / "it"
        path.write_bytes(content)
        sources = {
            "path": open_sound(path),
            "file object": open_sound(io.BytesIO(content), "it"),
            "stream": open_sound(io.BufferedReader(Trickle(content)), "it"),
            "standard input": pipe_sound(io.BufferedReader(Trickle(content)), "it"),
        }
        if hasattr(os, "mkfifo"):
            fifo = tmp_path / "fifo"
            fifo.unlink(missing_ok=True)
            os.mkfifo(fifo)
            threading.Thread(target=fifo.write_bytes, args=(content,), daemon=True).start()
            sources["FIFO"] = open_sound(fifo)
        return {name: _decode(source) for name, source in sources.items()}

    return decode


@pytest.fixture
def decode_all(decode_each: Any) -> Callable[[bytes], Decoded]:
    """Decodes a file from each kind of source, with equal results; warnings are without the sound's name."""

    def decode(content: bytes) -> Decoded:
        first, *others = decode_each(content).values()
        assert isinstance(first, Decoded), first
        for other in others:
            assert isinstance(other, Decoded), other
            assert other.rate == first.rate
            np.testing.assert_array_equal(other.samples, first.samples)
            assert [w.partition(": ")[2] for w in other.warnings] == [w.partition(": ")[2] for w in first.warnings]
        return Decoded(first.samples, first.rate, tuple(w.partition(": ")[2] for w in first.warnings))

    return decode


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """Writes (samples,) or (samples, channels) with libsndfile: `encoded(samples, rate, "WAV", "PCM_16")`."""

    def encode(samples: npt.ArrayLike, rate: int, form: str = "WAV", subtype: str | None = None) -> bytes:
        out = io.BytesIO()
        soundfile.write(out, np.asarray(samples), rate, format=form, subtype=subtype)
        return out.getvalue()

    return encode


@pytest.fixture(scope="session")
def recorded() -> Callable[..., bytes]:
    """Writes what phones and browsers do, with FFmpeg: `recorded(samples, rate, "ipod", "aac")`.

    With `pause=(at, seconds)` the timestamps from `at` s on are later by so much; with `left_out` every so many-th
    packet is missing.
    """
    av = pytest.importorskip("av")

    def encode(
        samples: npt.NDArray[np.float32],
        rate: int,
        form: str,
        codec: str,
        picture: str = "",
        pause: tuple[float, float] = (0, 0),
        left_out: int = 0,
        **options: str,
    ) -> bytes:
        count = itertools.count(1)

        def mux(packets: Any) -> None:
            for packet in packets:
                if left_out and next(count) % left_out == 0:
                    continue
                if packet.pts is not None and packet.pts * packet.time_base >= pause[0]:
                    later = round(pause[1] / packet.time_base)
                    packet.pts, packet.dts = packet.pts + later, packet.dts + later
                container.mux(packet)

        out = io.BytesIO()
        columns = samples.reshape(len(samples), -1)
        layout = {1: "mono", 2: "stereo"}[columns.shape[1]]
        with av.open(out, "w", format=form, options=options) as container:
            video = container.add_stream(picture, rate=5) if picture else None
            audio = container.add_stream(codec, rate=rate, layout=layout)
            if codec == "libopencore_amrnb":
                audio.bit_rate = 12_200
            if video is not None:
                video.width = video.height = 64
                video.pix_fmt = "yuv420p"
                for _ in range(5):
                    container.mux(video.encode(av.VideoFrame(64, 64, "yuv420p")))
                container.mux(video.encode(None))
            frame = av.AudioFrame.from_ndarray(columns.astype(np.float32).reshape(1, -1), format="flt", layout=layout)
            frame.sample_rate, frame.pts = rate, 0
            resampler = av.AudioResampler(format=audio.codec_context.format, layout=layout, rate=rate)
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                mux(audio.encode(part))
            mux(audio.encode(None))
        return out.getvalue()

    return encode


@pytest.fixture
def no_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyAV isn't installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(ffmpeg, "find_spec", lambda name: None if name == "av" else find(name))


@pytest.fixture
def nothing_decodes(no_pyav: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither PyAV nor ffmpeg is there."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
