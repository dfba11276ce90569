"""A double of PortAudio whose cards come and go, refuse, stall and hang, in milliseconds.

Also sound files of every format and every kind of source, a network with known answers, and the command as a function
that must leave nothing behind.
"""

import io
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper, numpy_helper

from ser_edge.audio.decoding.decoder import open_sound
from ser_edge.audio.decoding.standard_input import pipe_sound
from ser_edge.audio.sound import Sound
from ser_edge.cli.app import main
from ser_edge.errors import AudioError
from ser_edge.errors.user_warnings import capture_warnings
from ser_edge.models.metadata import KEY


class PortAudioError(Exception):
    """As sounddevice's: a text, a PaErrorCode, and the host's reason."""


@dataclass
class Flags:
    input_overflow: bool = False


class Stream:
    def __init__(self, sounddevice: "FakeSoundDevice", **settings: Any):
        sounddevice.tried.append((settings["samplerate"], settings["channels"]))
        listed = sounddevice.listed
        if settings["device"] >= len(listed):
            raise PortAudioError("Error opening InputStream: Invalid device", -9996)
        self.card, self.settings = listed[settings["device"]], settings
        if self.card not in sounddevice.cards:
            raise PortAudioError("Error opening InputStream: Device unavailable", -9985)
        if self.card.failure:
            raise self.card.failure
        if self.card.takes is not None and (settings["samplerate"], settings["channels"]) not in self.card.takes:
            raise PortAudioError("Error opening InputStream: Invalid sample rate", -9997)
        assert settings["dtype"] == "float32"
        assert settings["blocksize"] == round(settings["samplerate"] / 10)
        self.active = False

    def start(self) -> None:
        self.active = True
        self.card.stream = self
        self.card.opened += 1
        self.card.on_start()

    def end(self) -> None:
        if self.active:
            self.active = False
            self.settings["finished_callback"]()

    def close(self) -> None:
        self.card.on_close()
        self.end()


@dataclass(eq=False)
class Card:
    """A card, and what the test can do to it."""

    name: str
    channels: int = 2
    rate: int = 44_100
    takes: set[tuple[int, int]] | None = None  # (Hz, channels); None takes everything
    failure: Exception | None = None  # on opening
    on_start: Callable[[], Any] = lambda: None
    on_close: Callable[[], Any] = lambda: None
    opened: int = 0
    stream: Any = None

    def record(self, sound: npt.NDArray[np.float32], overflow: bool = False) -> None:
        """Calls back with (frames,) or (frames, channels), in blocks, at once; what is left over is lost."""
        size, channels = self.stream.settings["blocksize"], self.stream.settings["channels"]
        sound = np.broadcast_to(sound.reshape(len(sound), -1), (len(sound), channels))
        for i in range(0, len(sound) - size + 1, size):
            buffer = sound[i : i + size].copy()
            self.stream.settings["callback"](buffer, size, None, Flags(overflow))
            buffer[:] = 9  # PortAudio uses it again


@dataclass
class FakeSoundDevice:
    """Stands for the module sounddevice. `cards` are plugged in; PortAudio lists them as it starts."""

    cards: list[Card] = field(default_factory=list)
    _listed: list[Card] | None = None
    tried: list[tuple[int, int]] = field(default_factory=list)
    started: int = 1  # times
    PortAudioError = PortAudioError

    @property
    def listed(self) -> list[Card]:
        """What was there when PortAudio started."""
        if self._listed is None:
            self._listed = list(self.cards)
        return self._listed

    def plug(self, *cards: Card) -> Card:
        """Adds cards; returns the first."""
        self.cards += cards
        return cards[0]

    def unplug(self, card: Card) -> None:
        self.cards.remove(card)
        card.stream.end()

    def query_devices(self, kind: str | None = None) -> Any:
        infos = [
            {
                "name": card.name,
                "index": i,
                "max_input_channels": card.channels,
                "default_samplerate": float(card.rate),
                "hostapi": 0,
            }
            for i, card in enumerate(self.listed)
        ]
        if kind is None:
            return infos
        for info in infos:
            if info["max_input_channels"]:
                return info
        raise PortAudioError("Error querying device -1")

    def query_hostapis(self) -> Any:
        return ({"name": "Fake"},)

    def get_portaudio_version(self) -> tuple[int, str]:
        return 1246720, "PortAudio V19.6.0-devel, revision 396fe4b6699ae929d3a685b3ef8a7e97396139a4"

    def InputStream(self, **settings: Any) -> Stream:  # noqa: N802 - sounddevice's name
        return Stream(self, **settings)

    def _terminate(self) -> None:
        for card in self.listed:
            assert card.stream is None or not card.stream.active, "PortAudio ended under an open stream"

    def _initialize(self) -> None:
        self.started += 1
        self._listed = list(self.cards)


@pytest.fixture
def sounddevice(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSoundDevice]:
    """A PortAudio without cards; `sounddevice.plug(card(...))` adds them."""
    fake = FakeSoundDevice()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)  # type: ignore[arg-type]
    yield fake
    running = [thread for thread in threading.enumerate() if thread.name == "ser-edge microphone"]
    assert not running, "a microphone wasn't closed"


@pytest.fixture
def broken_sounddevice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Puts a module sounddevice of this source on the path."""

    def put(source: str) -> None:
        folder = tmp_path / "broken"
        folder.mkdir()
        (folder / "sounddevice.py").write_text(source)
        monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
        monkeypatch.syspath_prepend(folder)

    return put


@pytest.fixture
def card() -> type[Card]:
    """What makes a card."""
    return Card


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
    """Writes what phones and browsers do, with FFmpeg: `recorded(samples, rate, "ipod", "aac")`."""
    av = pytest.importorskip("av")

    def encode(
        samples: npt.NDArray[np.float32], rate: int, form: str, codec: str, picture: str = "", **options: str
    ) -> bytes:
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
                container.mux(audio.encode(part))
            container.mux(audio.encode(None))
        return out.getvalue()

    return encode


@pytest.fixture(scope="session")
def small_onnx() -> Callable[..., Path]:
    """What writes a small network to a path."""
    return _small_onnx


_SAME = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def _small_onnx(
    path: Path, metadata: str | None, weights: npt.ArrayLike = _SAME, inputs: int = 3, outputs: int = 3
) -> Path:
    """The mean over the frames, a matrix, and softmax: a network whose answers a test can know."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["features"], ["mean"], axes=[1], keepdims=0),
            helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["answer"]),
        ],
        "small",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, None, inputs])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [None, outputs])],
        [numpy_helper.from_array(np.asarray(weights, np.float32), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if metadata is not None:
        helper.set_model_props(model, {KEY: metadata})
    onnx.save(model, path)
    return path


@pytest.fixture
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command finds an empty folder to work in, and one for temporary files, and leaves them so."""
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    here.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(temporary))
    yield
    assert list(temporary.iterdir()) == []


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str], list[str]]]:
    """Calls ser-edge; gives its exit code, the paths that it answered for, and the lines on standard error."""

    def call(*arguments: object) -> tuple[int, list[str], list[str]]:
        code = main(["--format", "json", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert out == "" or out.endswith("\n")
        return code, [json.loads(line)["path"] for line in out.splitlines()], err.splitlines()

    return call
