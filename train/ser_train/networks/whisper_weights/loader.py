"""Loads the encoder weights of Whisper tiny.en.

The first two blocks are here, in `tiny_en_2_blocks.npz`: float16, as OpenAI published them. Whisper's code and weights
are under the MIT License (https://github.com/openai/whisper#license); the notice is in `tiny_en_2_blocks.LICENSE`.
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser_edge.errors.placeholder_files import START, describe_placeholder
from ser_train.networks.whisper_weights.layout import BLOCKS, EncoderError, checked, shapes

BUNDLED = Path(__file__).with_name("tiny_en_2_blocks.npz")


def load_encoder_weights(path: Path | None = None, blocks: int = 2) -> dict[str, npt.NDArray[np.float32]]:
    """The weights of Whisper tiny.en's encoder, without its position encodings and the normalisation at its end.

    Args:
        path: an .npz with the names of `layout.shapes`; None takes the one that comes with ser-train.
        blocks: 1 to 4; two come with ser-train.

    Returns:
        The arrays of `layout.shapes`, float32.

    Raises:
        EncoderError: the file is missing, damaged, of another network, or has fewer blocks.
    """
    if not 1 <= blocks <= BLOCKS:
        raise ValueError(f"blocks must be 1 to {BLOCKS}")
    path = path or BUNDLED
    _check_start(path)
    return checked(_read_npz(path, blocks), blocks, path)


def _check_start(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(START)
    except OSError as e:
        message = f"{path}: can't be read ({e.strerror}); check the path"
        raise EncoderError(message, code="encoder-not-found") from e
    if placeholder := describe_placeholder(start):
        raise EncoderError(f"{path}: {placeholder}")


def _read_npz(path: Path, blocks: int) -> dict[str, npt.NDArray[np.float32]]:
    try:
        # Opened here, for np.load leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name].astype(np.float32) for name in shapes(blocks) if name in arrays}
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, OSError, TypeError, ValueError) as e:
        raise EncoderError(f"{path}: a damaged or truncated .npz ({e}); download it again") from e
