"""Fuzzing targets: functions of untrusted bytes, which give a result or a `SerEdgeError`, nothing else.

`fuzz.py` lets atheris look for bytes that break this, `test_targets.py` tries a fixed number of damaged seeds. A model
file is taken as far as the runtime: what LiteRT and ONNX Runtime do with a hostile network is theirs.
"""

import copy
import io
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ser_edge.audio.decoding.decoder import open_sound
from ser_edge.audio.decoding.standard_input import SAMPLE_FORMATS, RawFormat, pipe_sound, raw_sound
from ser_edge.audio.reading import read
from ser_edge.audio.sound import Channels, Samples
from ser_edge.errors import SerEdgeError
from ser_edge.features.frontend import FrontEnd
from ser_edge.models.bundled.names import BUNDLED
from ser_edge.models.container import READERS, metadata_in
from ser_edge.models.metadata import ModelMetadata

RATE = 16_000
SOUNDS = Path(__file__).parent.parent / "sounds"
# (format, subtype) of libsndfile that the seeds are written in; those from "WAV" to "OGG" can be streamed
FORMATS = [
    ("WAV", "PCM_16"), ("WAV", "PCM_U8"), ("WAV", "FLOAT"), ("WAV", "IMA_ADPCM"), ("WAVEX", "PCM_24"),
    ("RF64", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "ULAW"), ("OGG", "VORBIS"), ("OGG", "OPUS"),
    ("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III"), ("CAF", "ALAC_16"), ("W64", "PCM_16"),
]  # fmt: skip
_OBJECTS = ("features", "normalization", "accuracy")  # of a description
HOSTILE: list[Any] = [
    None, True, 0, 1, 2, 3, 7, 16, 64, 512, 1024, 65_536, 2**31, 2**40, 10**30, -1, 0.0, 0.5, 1e-9, 1e-300, 1e9, 1e300,
    7999.5, 8000.0, 600, 768_000, "", "a", "\n\x1b[2J", "\ud800", "x" * 1000, [], ["a", "b"], ["a"] * 2,
    [0.0] * 64, [1.0] * 64, [1e300] * 64, [1] * 40, {}, {"\n": 1}, [[[]]],
]  # fmt: skip


@dataclass(frozen=True)
class Target:
    """What is thrown at, and what the damage begins with."""

    throw: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


def _file(data: bytes) -> None:
    with suppress(SerEdgeError):
        _check(read(io.BytesIO(data), RATE, seconds=2.0))
    with suppress(SerEdgeError), open_sound(io.BytesIO(data)) as sound:
        for chunk in sound.chunks:
            _check_channels(chunk)
            assert np.isfinite(chunk).all()


def _pipe(data: bytes) -> None:
    channels = 0
    with suppress(SerEdgeError), pipe_sound(io.BufferedReader(_Unseekable(data)), "-") as sound:
        for chunk in sound.chunks:
            _check_channels(chunk)  # NaN may come through: `Downmix` makes silence of it
            assert channels in (0, chunk.shape[1])  # also of sounds that were joined
            channels = chunk.shape[1]


def _raw(data: bytes) -> None:
    """The first two bytes are the format and the channels of the others."""
    formats = list(SAMPLE_FORMATS)
    raw = RawFormat(RATE, 1 + data[1] % 64, formats[data[0] % len(formats)]) if len(data) > 1 else RawFormat(RATE)
    count = 0
    with suppress(SerEdgeError), raw_sound(io.BufferedReader(_Unseekable(data[2:])), raw) as sound:
        for chunk in sound.chunks:
            count += len(chunk)
    assert count == len(data[2:]) // (int(SAMPLE_FORMATS[raw.sample_format][-1]) * raw.channels)


def _description(data: bytes) -> None:
    with suppress(SerEdgeError):
        metadata = ModelMetadata.from_json(data, "some.onnx")
        assert ModelMetadata.from_json(metadata.to_json(), "some.onnx") == metadata
        config = metadata.features
        features = FrontEnd(config)(np.zeros(config.samples or config.sample_rate, np.float32))
        assert np.isfinite(metadata.inputs(features)).all()


def _settings(data: bytes) -> None:
    """Pairs of bytes: which field of a description to change, and what to."""
    text = _stored("crnn.onnx")
    metadata = json.loads(text)
    for place, value in zip(data[::2], data[1::2], strict=False):
        part = metadata
        if place > 127 and isinstance(metadata.get(_OBJECTS[place % 3]), dict):
            part = metadata[_OBJECTS[place % 3]]
        names = sorted(part)
        if names:
            part[names[place % len(names)]] = copy.deepcopy(HOSTILE[value % len(HOSTILE)])
    _description(json.dumps(metadata).encode())


def _model_file(suffix: str, data: bytes) -> None:
    path = Path(f"some{suffix}")
    with suppress(SerEdgeError):
        ModelMetadata.from_json(metadata_in(data, path), path.name)


def _check(samples: Samples) -> None:
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert np.isfinite(samples).all()


def _check_channels(chunk: Channels) -> None:
    assert chunk.dtype == np.float32
    assert chunk.ndim == 2
    assert len(chunk)


class _Unseekable(io.RawIOBase):
    def __init__(self, data: bytes):
        self._rest = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._rest.readinto(buffer)


def _sounds() -> list[bytes]:
    """A fifth of a second in each format, in one and two channels."""
    sound, rate = soundfile.read(SOUNDS / "plain.wav", frames=4000, start=8000, dtype="float32")
    seeds = []
    for channels in (1, 2):
        for form, subtype in FORMATS:
            out = io.BytesIO()
            soundfile.write(out, np.tile(sound[:, None], channels), rate, format=form, subtype=subtype)
            seeds.append(out.getvalue())
    return [*seeds, *(first + second for first, second in pairwise(seeds))]  # joined as well


def _samples() -> list[bytes]:
    return [bytes([i, channels]) + sound for i, sound in enumerate(_sounds()[:6]) for channels in (0, 1, 31)]


def _stored(name: str) -> bytes:
    metadata = metadata_in((BUNDLED / name).read_bytes(), Path(name))
    assert metadata is not None
    return metadata


def _descriptions() -> list[bytes]:
    return [_stored(f"crnn{suffix}") for suffix in READERS]


def _model_files(suffix: str) -> list[bytes]:
    """The bundled one, and its end: a short seed is worth more."""
    whole = (BUNDLED / f"crnn{suffix}").read_bytes()
    if suffix == ".onnx":
        return [whole, *(whole[:size] for size in (100, 5_000))]
    zipped = whole[whole.rindex(b"PK\x03\x04") :]
    return [whole, whole[:28] + zipped, whole[:8] + zipped.replace(b"ser_edge", b"ser_edga")]


TARGETS = {
    "file": Target(_file, _sounds),
    "pipe": Target(_pipe, _sounds),
    "raw": Target(_raw, _samples),
    "description": Target(_description, _descriptions),
    "settings": Target(_settings, lambda: [bytes(range(256)), b"\x80\x07"]),
    "onnx": Target(partial(_model_file, ".onnx"), partial(_model_files, ".onnx")),
    "tflite": Target(partial(_model_file, ".tflite"), partial(_model_files, ".tflite")),
}
