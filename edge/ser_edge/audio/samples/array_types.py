"""Arrays, lists, tensors, columns of tables and buffers become NumPy arrays of the same values.

No library is imported for that: a tensor is known by its methods. Other objects are refused with the line to type:
bytes above all, which NumPy would take for samples of 8 bits.
"""

from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge.errors import AudioError

_MAX_REASON = 200  # characters of a library's message


def to_numpy(source: Any) -> npt.NDArray[Any]:
    """The values that an object holds, in their type and shape.

    Raises AudioError where no array can be made of it, or values are masked; TypeError where it holds no samples.
    """
    if isinstance(source, np.ndarray):
        if np.any(getattr(source, "mask", False)):
            problem = "some samples are masked; type array.filled(0) to have silence there"
            raise AudioError(f"array: {problem}", code="audio-array")
        return np.asarray(source)
    _refuse_others(source)
    try:
        found = _converted(source)
    except Exception as e:  # each library of tensors has its own exceptions
        reason = " ".join(str(e).split())[:_MAX_REASON] or type(e).__name__
        if isinstance(source, list | tuple) and "inhomogeneous" in reason:
            reason = "its parts differ in length; type np.concatenate(parts) if they are one sound"
        raise AudioError(f"array: no array can be made of it: {reason}", code="audio-array") from e
    if found is None:
        kind = type(source).__name__
        raise TypeError(f"{kind}: holds no samples; give an array of them (predict takes a path or a file as well)")
    if isinstance(source, list | tuple) and type(_first_value(source)) is int and found.dtype.kind == "i":
        return found.astype(np.int64)  # as on all systems but Windows with NumPy 1
    return found


def split_rate(pair: Any) -> tuple[Any, Any] | None:
    """(rate, samples) of a pair of both in any order, as librosa, soundfile and SciPy return; None for others."""
    if not isinstance(pair, tuple) or len(pair) != 2:
        return None
    numbers = [is_number(item) for item in pair]
    if numbers == [True, False]:
        return pair
    return (pair[1], pair[0]) if numbers == [False, True] else None


def is_raw_bytes(source: Any) -> bool:
    """Whether it is raw memory, without a sample format."""
    if isinstance(source, memoryview):
        return source.format in ("b", "B", "c", "<b", "<B")
    return isinstance(source, bytes | bytearray) or getattr(source, "typecode", None) in ("b", "B")  # array.array's


def holds_numbers(item: Any) -> bool:
    """Whether it is a number or a list of numbers, at any depth; by its first, so that long ones take no time."""
    while isinstance(item, list | tuple) and split_rate(item) is None:
        if not item:
            return True
        item = item[0]
    return is_number(item)


def is_number(item: Any) -> bool:
    """Whether it is a number, or an array or a tensor of one."""
    return isinstance(item, int | float | np.number) or (getattr(item, "shape", None) == () and hasattr(item, "item"))


def _refuse_others(source: Any) -> None:
    """Raises TypeError for objects that aren't samples, and that NumPy would convert nevertheless."""
    kind = type(source).__name__
    if is_raw_bytes(source):
        raise TypeError(
            f"{kind}: bytes have no sample format; type io.BytesIO(data) for a sound file's, "
            "np.frombuffer(data, np.int16) for 16-bit samples"
        )
    if isinstance(source, Mapping):
        raise TypeError(f'{kind}: no samples; type predict(x["array"], sample_rate=x["sampling_rate"])')
    if hasattr(source, "__aiter__") or hasattr(source, "__await__"):
        raise TypeError(f"{kind}: async; await it, and pass its result")
    if isinstance(source, Iterator):
        advice = "type stream(chunks, sample_rate=...) if these are chunks, predict_files(paths) if they are paths"
        raise TypeError(f"{kind}: gives one after the other; {advice}")
    if isinstance(source, list | tuple) and isinstance(_first_value(source), str | bytes | PathLike):
        raise TypeError(f"{kind} of paths: no samples; type predict(paths)")


def _converted(source: Any) -> npt.NDArray[Any] | None:
    """NumPy's view of it, or a copy; None if it holds no values."""
    if all(callable(getattr(source, method, None)) for method in ("detach", "cpu", "numpy")):  # PyTorch's
        tensor = source.detach().cpu()
        try:
            return np.asarray(tensor.numpy())
        except TypeError:  # bfloat16, which NumPy hasn't
            return np.asarray(tensor.float().numpy())
    if hasattr(source, "__cuda_array_interface__") and hasattr(source, "get"):  # CuPy's
        return np.asarray(source.get())
    if isinstance(source, list | tuple) or hasattr(source, "__array__") or hasattr(source, "__array_interface__"):
        return np.asarray(source)
    if hasattr(source, "__dlpack__"):
        return np.asarray(np.from_dlpack(source))
    if is_number(source):
        return np.asarray(source)
    try:
        buffer = memoryview(source)
    except TypeError:
        return None
    return np.asarray(buffer)


def _first_value(source: Any) -> Any:
    """The first of a list, or of the first list in it."""
    while isinstance(source, list | tuple) and source:
        source = source[0]
    return source
