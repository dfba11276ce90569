"""Loads the encoder weights of Whisper tiny.en.

The first three blocks are here, in `tiny_en_3_blocks.npz`: float16, as OpenAI published them. Whisper's code and
weights are under the MIT License (https://github.com/openai/whisper#license); the notice is in
`tiny_en_3_blocks.LICENSE`.
"""

import zipfile
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser_edge.errors.placeholder_files import START, describe_placeholder
from ser_train.data.download import Archive, cache_folder, download
from ser_train.networks.whisper_weights import safetensors_file, torch_checkpoint
from ser_train.networks.whisper_weights.layout import BLOCKS, Arrays, EncoderError, checked, shapes
from ser_train.networks.whisper_weights.naming import HUGGING_FACE, OPENAI, Naming, names, renamed

BUNDLED, BUNDLED_BLOCKS = Path(__file__).with_name("tiny_en_3_blocks.npz"), 3
_SHA256 = "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03"
TINY_EN = Archive(  # address and digest are those of whisper/__init__.py in OpenAI's repository
    f"https://openaipublic.azureedge.net/main/whisper/models/{_SHA256}/tiny.en.pt",
    _SHA256,
    "Whisper tiny.en (76 MB)",
    algorithm="sha256",
    alternative="give tiny.en.pt with --encoder",
)
# What libraries and readers raise of a file that is damaged.
_DAMAGE = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def load_encoder_weights(path: Path | None = None, blocks: int = BUNDLED_BLOCKS) -> dict[str, npt.NDArray[np.float32]]:
    """The weights of Whisper tiny.en's encoder, without its position encodings and the normalisation at its end.

    Args:
        path: OpenAI's `tiny.en.pt`, Hugging Face's `model.safetensors`, or an .npz with the names of `layout.shapes`,
            in float16 or float32. None takes what comes with ser-train; for all four blocks it downloads
            `tiny.en.pt` into the cache, once. (The multilingual tiny has the same shapes, so it isn't refused.)
        blocks: 1 to 4.

    Returns:
        The arrays of `layout.shapes`, float32.

    Raises:
        EncoderError: the file is missing, damaged, unsafe, of another network, or has fewer blocks.
        CorpusError: a download that failed.
    """
    if not 1 <= blocks <= BLOCKS:
        raise ValueError(f"blocks must be 1 to {BLOCKS}")
    if path is None:
        path = BUNDLED if blocks <= BUNDLED_BLOCKS else download(TINY_EN, cache_folder() / "tiny.en.pt")
    try:
        kind = _format(path)
        wanted = names(kind.naming, blocks) if kind.naming else shapes(blocks)
        tensors: Arrays = kind.read(path, wanted)
    except _DAMAGE as e:
        raise EncoderError(f"{path}: damaged or truncated weights ({e}); download them again") from e
    return checked(renamed(tensors, kind.naming, blocks, path) if kind.naming else tensors, blocks, path)


def _read_npz(path: Path, wanted: Collection[str]) -> dict[str, npt.NDArray[np.float32]]:
    # Opened here, for np.load leaves a damaged file open.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name].astype(np.float32) for name in wanted if name in arrays}


@dataclass(frozen=True)
class _Format:
    read: Callable[[Path, Collection[str]], dict[str, npt.NDArray[np.float32]]]
    naming: Naming | None = None  # ours


def _format(path: Path) -> _Format:
    """How a file is read, by its content."""
    try:
        with path.open("rb") as file:
            start = file.read(START)
    except OSError as e:
        message = f"{path}: can't be read ({e.strerror}); check the path"
        raise EncoderError(message, code="encoder-not-found") from e
    if placeholder := describe_placeholder(start):
        raise EncoderError(f"{path}: {placeholder}")
    if start[8:9] == b"{":
        return _Format(safetensors_file.read_tensors, HUGGING_FACE)
    if not start.startswith(b"PK"):
        raise EncoderError(f"{path}: neither .pt, .safetensors nor .npz; give the official tiny.en.pt")
    return (
        _Format(torch_checkpoint.read_tensors, OPENAI) if torch_checkpoint.is_checkpoint(path) else _Format(_read_npz)
    )
