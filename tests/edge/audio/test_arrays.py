"""Samples in memory, in each format and layout, and the errors for other objects."""

import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ser_edge.audio.samples.arrays import ChunkLayout, array_to_samples, chunk_to_samples, parse_sample_rate
from ser_edge.errors import AudioError
from tests import messages

RATE = 16_000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)
PCM = (TONE * 32_767).astype(np.int16)
STEREO = np.stack([TONE, TONE / 2], axis=1)


class Tensor:
    """As PyTorch's: on a device, and of a computation that is to be differentiated."""

    def __init__(self, values: Any, device: str = "cuda", graph: bool = True, number: str = "float32"):
        self._values, self._device, self._graph, self._number = values, device, graph, number

    @property
    def ndim(self) -> int:
        return int(self._values.ndim)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._values.shape)

    def detach(self) -> "Tensor":
        return Tensor(self._values, self._device, False, self._number)

    def cpu(self) -> "Tensor":
        return Tensor(self._values, "cpu", self._graph, self._number)

    def float(self) -> "Tensor":
        return Tensor(self._values, self._device, self._graph)

    def numpy(self) -> Any:
        if self._graph:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if self._device != "cpu":
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        if self._number == "bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self._values

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()


class Exported:
    """What gives its values through DLPack alone."""

    def __init__(self, values: Any):
        self._values = values

    def __dlpack__(self, **settings: Any) -> Any:
        return self._values.__dlpack__(**settings)

    def __dlpack_device__(self) -> Any:
        return self._values.__dlpack_device__()


class Column:
    """As a pandas Series: a sequence with an index, and methods called `mask` and `filter`."""

    def __init__(self, values: Any):
        self._values = values

    def mask(self, condition: Any) -> Any:
        raise AssertionError

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self._values


SAME: dict[str, tuple[Any, float]] = {  # the same tone, and how far from it
    "float16": (TONE.astype(np.float16), 1e-3),
    "float32": (TONE, 0),
    "float64": (TONE.astype(np.float64), 1e-7),
    "long double": (TONE.astype(np.longdouble), 1e-7),
    "int8": ((TONE * 127).astype(np.int8), 1 / 64),
    "int16": (PCM, 1e-4),
    "int32": (PCM.astype(np.int32) << 16, 1e-4),
    "int32 of 16-bit samples": (PCM.astype(np.int32), 1e-4),
    "int64 of 16-bit samples": (PCM.astype(np.int64), 1e-4),
    "int64 of 32-bit samples": (PCM.astype(np.int64) << 16, 1e-4),
    "int64 of 64-bit samples": (PCM.astype(np.int64) << 48, 1e-4),
    "uint8, centred as in a WAV": ((TONE * 127 + 128).astype(np.uint8), 1 / 64),
    "big-endian floats": (TONE.astype(">f4"), 0),
    "big-endian integers": (PCM.astype(">i2"), 1e-4),
    "a list of floats": (TONE.tolist(), 0),
    "a list of integers": (PCM.tolist(), 1e-4),
    "a tuple": (tuple(TONE.tolist()), 0),
    "a list of lists": ([TONE.tolist()], 0),
    "backwards, and back": (TONE[::-1][::-1], 0),
    "every second of twice as many": (np.repeat(TONE, 2)[::2], 0),
    "read-only": (np.frombuffer(TONE.tobytes(), np.float32), 0),
    "masked, nothing": (np.ma.array(TONE), 0),
    "a tensor on a device": (Tensor(TONE), 0),
    "a tensor of (1, samples)": (Tensor(TONE[None]), 0),
    "a tensor of bfloat16": (Tensor(TONE, number="bfloat16"), 0),
    "DLPack": (Exported(TONE), 0),
    "a column": (Column(TONE), 0),
    "array.array of integers": (array.array("h", PCM.tolist()), 1e-4),
    "array.array of floats": (array.array("f", TONE.tolist()), 0),
    "a memoryview of floats": (memoryview(TONE), 0),
    "(samples, 1)": (TONE[:, None], 0),
    "(1, samples)": (TONE[None], 0),
    "Fortran's order": (np.asfortranarray(TONE[:, None]), 0),
}


@pytest.mark.parametrize("name", SAME)
def test_every_format_and_holder_means_the_same(name: str) -> None:
    source, tolerance = SAME[name]
    samples = array_to_samples(source)
    assert (samples.shape, samples.dtype) == ((RATE, 1), np.float32)
    np.testing.assert_allclose(samples[:, 0], TONE, atol=tolerance)


@pytest.mark.parametrize("name", [name for name in SAME if not name.startswith(("int32 of", "int64"))])
def test_a_chunk_is_converted_like_a_whole_sound(name: str) -> None:
    np.testing.assert_array_equal(chunk_to_samples(SAME[name][0]), array_to_samples(SAME[name][0]))


def test_a_quiet_chunk_of_32_bits_stays_quiet() -> None:
    assert np.abs(chunk_to_samples(np.full(160, 300, np.int32))).max() < 1e-6


def test_a_chunk_of_64_bits_holds_16_bit_samples_or_is_refused() -> None:
    np.testing.assert_array_equal(chunk_to_samples(PCM.astype(np.int64)), chunk_to_samples(PCM))
    with messages.raises(AudioError, "audio-array"):
        chunk_to_samples([32_769, 0])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (STEREO, STEREO),
        (STEREO.T, STEREO),
        (STEREO.tolist(), STEREO),
        (STEREO.T.tolist(), STEREO),
        ([TONE, TONE / 2], STEREO),
        (np.stack([TONE] * 64, axis=1), np.stack([TONE] * 64, axis=1)),
        (STEREO[:20], STEREO[:20]),
    ],
)
def test_channels_are_known_by_the_shape(given: Any, expected: Any) -> None:
    np.testing.assert_array_equal(array_to_samples(given), expected)


REFUSED: dict[str, tuple[Any, str]] = {
    "channels in too many rows": (np.stack([TONE] * 64), "audio-array"),
    "three dimensions": (np.ones((2, 2, 2)), "audio-array"),
    "a number": (np.float32(1), "audio-array"),
    "lists of different lengths": ([[1.0, 2.0], [3.0]], "audio-array"),
    "bool": (TONE > 0, "audio-array"),
    "complex": (TONE.astype(complex), "audio-array"),
    "uint16": (PCM.astype(np.uint16), "audio-array"),
    "uint32": (PCM.astype(np.uint32), "audio-array"),
    "objects": (TONE.astype(object), "audio-array"),
    "text": (np.array(["loud"]), "audio-array"),
    "records": (np.zeros(9, [("left", "i2"), ("right", "i2")]), "audio-array"),
    "times": (np.zeros(9, "M8[s]"), "audio-array"),
    "masked": (np.ma.array(TONE, mask=TONE > 0.4), "audio-array"),
}
REFUSED_WHOLE: dict[str, tuple[Any, str]] = {  # chunks may be empty, their NaN is silence, their bytes aren't a file
    "nothing": ([], "audio-empty"),
    "no samples of two channels": (np.zeros((0, 2)), "audio-empty"),
    "two channels of no samples": (np.zeros((2, 0)), "audio-empty"),
    "no channels": (np.zeros((50, 0)), "audio-empty"),
    "NaN": (np.full(RATE, np.nan), "audio-not-finite"),
    "beyond float32": (np.full(RATE, 1e300), "audio-not-finite"),
    "a sound file's bytes": (np.frombuffer(b"RIFF" + bytes(99), np.uint8), "audio-array"),
    "a phone's file's bytes": (np.frombuffer(b"\0\0\0\x20ftypM4A " + bytes(9), np.uint8), "audio-array"),
}

NO_SAMPLES: dict[str, tuple[Callable[[], Any], str]] = {  # and the name that the message begins with
    "bytes": (lambda: PCM.tobytes(), "bytes"),
    "bytearray": (lambda: bytearray(PCM.tobytes()), "bytearray"),
    "memoryview": (lambda: memoryview(PCM.tobytes()), "memoryview"),
    "array.array of bytes": (lambda: array.array("B", PCM.tobytes()), "array"),
    "None": (lambda: None, "NoneType"),
    "an object": (object, "object"),
    "a set": (lambda: {1.0}, "set"),
    "text": (lambda: "a.wav", "str"),
    "a data set's entry": (lambda: {"array": TONE}, "dict"),
    "a generator": (lambda: (x for x in [TONE]), "generator"),
    "paths": (lambda: ["a.wav", "b.wav"], "list of paths"),
}


@pytest.mark.parametrize("take", [array_to_samples, chunk_to_samples], ids=["array", "chunk"])
@pytest.mark.parametrize("name", REFUSED)
def test_an_array_that_is_no_sound_has_a_code(name: str, take: Callable[[Any], Any]) -> None:
    source, code = REFUSED[name]
    with messages.raises(AudioError, code):
        take(source)


@pytest.mark.parametrize("name", REFUSED_WHOLE)
def test_a_whole_sound_has_to_be_complete_and_finite(name: str) -> None:
    source, code = REFUSED_WHOLE[name]
    with messages.raises(AudioError, code):
        array_to_samples(source)


@pytest.mark.parametrize(
    "take",
    [array_to_samples, chunk_to_samples, ChunkLayout(RATE).chunk_to_samples],
    ids=["array", "chunk", "stream"],
)
@pytest.mark.parametrize("name", NO_SAMPLES)
def test_an_object_without_samples_is_a_type_error(name: str, take: Callable[[Any], Any]) -> None:
    make, kind = NO_SAMPLES[name]
    with pytest.raises(TypeError, match=f"^{kind}: "):
        take(make())


def test_the_message_of_a_library_is_quoted() -> None:
    class Broken(Tensor):
        def detach(self) -> Any:
            raise NotImplementedError("no NumPy\nin this build")

    with messages.raises(AudioError, "audio-array") as caught:
        array_to_samples(Broken(TONE))
    assert "no NumPy in this build" in str(caught.value)


def test_chunks_keep_the_layout_of_the_first() -> None:
    for transposed in (False, True):
        layout = ChunkLayout(RATE)
        parts = np.split(STEREO, [1600, 1620, 1622, 1623, 1623])
        got = [layout.chunk_to_samples(part.T if transposed else part) for part in parts]
        np.testing.assert_array_equal(np.concatenate(got), STEREO)


def test_chunks_of_one_channel_may_come_in_any_layout() -> None:
    layout = ChunkLayout(RATE)
    chunks = [TONE[:1600], TONE[None, 1600:1605], TONE[1605:1610, None], TONE[1610:1610], TONE[1610:].tolist()]
    np.testing.assert_array_equal(np.concatenate([layout.chunk_to_samples(chunk) for chunk in chunks])[:, 0], TONE)


@pytest.mark.parametrize("chunk", [TONE, TONE[:, None], np.zeros((160, 3)), np.zeros((3, 160))])
def test_other_channels_in_the_middle_of_a_stream_are_refused(chunk: Any) -> None:
    layout = ChunkLayout(RATE)
    layout.chunk_to_samples(STEREO)
    with messages.raises(AudioError, "audio-channels"):
        layout.chunk_to_samples(chunk)


def test_a_chunk_may_come_with_the_rate_of_the_stream_and_no_other() -> None:
    layout = ChunkLayout(RATE)
    for pair in ((RATE, PCM), (PCM, RATE), (float(RATE), PCM.tolist())):
        np.testing.assert_array_equal(layout.chunk_to_samples(pair), chunk_to_samples(PCM))
    with messages.raises(AudioError, "audio-sample-rate"):
        layout.chunk_to_samples((48_000, PCM))


@pytest.mark.parametrize("rate", [RATE, float(RATE), np.int64(RATE), np.float32(RATE), np.array(RATE), np.uint16(RATE)])
def test_a_rate_is_a_number_of_any_type(rate: Any) -> None:
    got = parse_sample_rate(rate, "array")
    assert (got, type(got)) == (RATE, int)


@pytest.mark.parametrize("rate", ["16000", b"16000", True, np.True_, None, [RATE], np.array([RATE]), 1j, TONE, {}])
def test_a_rate_that_is_no_number_is_a_type_error(rate: Any) -> None:
    with pytest.raises(TypeError, match="sample_rate"):
        parse_sample_rate(rate, "array")


@pytest.mark.parametrize("rate", [0, -RATE, 16, 0.5, 1e9, float("nan"), float("inf"), 16_000.5, np.float64(44_100.25)])
def test_a_rate_that_no_recording_has_is_refused(rate: Any) -> None:
    with messages.raises(AudioError, "audio-sample-rate"):
        parse_sample_rate(rate, "array")
