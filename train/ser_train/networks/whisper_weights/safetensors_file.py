"""Reads tensors from a safetensors file (https://github.com/huggingface/safetensors#format).

Eight bytes with the length of the header, the header in JSON, and the numbers.
"""

import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_DTYPES: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
_LENGTH = 8  # bytes of the header's length


def read_tensors(path: Path, names: Collection[str]) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors of these names that the file has; any exception means that it is damaged."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = _LENGTH + int.from_bytes(file.read(_LENGTH), "little")
        if start > size:
            raise EOFError(f"a header of {start} bytes in a file of {size}")
        header = json.loads(file.read(start - _LENGTH))
        tensors = {}
        for name in names:
            if name not in header:
                continue
            tensor = header[name]
            if tensor["dtype"] not in _DTYPES:
                raise TypeError(f"{tensor['dtype']} in place of F32 or F16")
            dtype, shape, (begin, end) = _DTYPES[tensor["dtype"]], tensor["shape"], tensor["data_offsets"]
            if not 0 <= begin <= end <= size - start:
                raise EOFError(f"{name} ends after {start + end} bytes of {size}")
            if end - begin != math.prod(shape) * dtype.itemsize:
                raise ValueError(f"{end - begin} bytes for {name}, {shape}")
            file.seek(start + begin)
            tensors[name] = np.frombuffer(file.read(end - begin), dtype).reshape(shape).astype(np.float32)
        return tensors
