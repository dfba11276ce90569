"""The names and shapes of the encoder's arrays, and what is asked of a file that should hold them.

The names are those of CTranslate2; matrices are (outputs, inputs), convolutions (outputs, inputs, kernel). The position
encodings aren't among them: they are sinusoids, and computed.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser_edge.errors import SerEdgeError

BLOCKS = 4  # of tiny.en
_BANDS, _WIDTH, _KERNEL = 80, 384, 3

Arrays = Mapping[str, npt.NDArray[np.float32]]


class EncoderError(SerEdgeError):
    """A file without the weights of Whisper tiny.en's encoder: missing, damaged, or of another network."""

    code = "encoder-damaged"


def shapes(blocks: int) -> dict[str, tuple[int, ...]]:
    """The shape of each array, in the order in which the encoder uses them.

    >>> shapes(1)["layer_0/self_attention/linear_0/weight"]  # query, key and value, one below the other
    (1152, 384)
    """
    found: dict[str, tuple[int, ...]] = {}

    def norm(name: str) -> None:
        found.update({f"{name}/gamma": (_WIDTH,), f"{name}/beta": (_WIDTH,)})

    def linear(name: str, outputs: int, *inputs: int) -> None:
        found.update({f"{name}/weight": (outputs, *inputs), f"{name}/bias": (outputs,)})

    linear("conv1", _WIDTH, _BANDS, _KERNEL)
    linear("conv2", _WIDTH, _WIDTH, _KERNEL)
    for block in range(blocks):
        attention, dense = f"layer_{block}/self_attention", f"layer_{block}/ffn"
        norm(f"{attention}/layer_norm")
        linear(f"{attention}/linear_0", 3 * _WIDTH, _WIDTH)
        linear(f"{attention}/linear_1", _WIDTH, _WIDTH)
        norm(f"{dense}/layer_norm")
        linear(f"{dense}/linear_0", 4 * _WIDTH, _WIDTH)
        linear(f"{dense}/linear_1", _WIDTH, 4 * _WIDTH)
    return found


def checked(arrays: Arrays, blocks: int, path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The arrays of so many blocks, and no others.

    Raises:
        EncoderError: one is missing, has another shape than tiny.en's, or holds NaN.
    """
    wanted = shapes(blocks)
    for name, shape in wanted.items():
        if name not in arrays:
            message = f"{path}: has no {name}; {blocks} blocks of Whisper tiny.en's encoder are needed"
            raise EncoderError(message, code="encoder-mismatched")
        if arrays[name].shape != shape:
            message = f"{path}: {name} has shape {arrays[name].shape}, Whisper tiny.en's is {shape}"
            raise EncoderError(f"{message}; give a file of tiny.en", code="encoder-mismatched")
        if not np.isfinite(arrays[name]).all():
            raise EncoderError(f"{path}: {name} holds values that aren't finite; download it again")
    return {name: arrays[name] for name in wanted}
