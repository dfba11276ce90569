"""Sound files: found below a folder, and known by what is heard in them."""

import hashlib
from pathlib import Path

import numpy as np
import soundfile

from ser_edge.placeholder import START, placeholder
from ser_train.utterances import CorpusError

__all__ = ["digest_of_sound", "sounds"]

_LOSSY = frozenset({".mp3", ".ogg", ".opus"})
_SUFFIXES = _LOSSY | {".flac", ".wav"}


def sounds(folder: Path) -> list[Path]:
    """Those at any depth, sorted; hidden ones and other files are left alone.

    Raises:
        CorpusError: no folder, or no sound below it.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder; give one with RAVDESS=path or --data path")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and not p.name.startswith("."))
    if not paths:
        kinds = ", ".join(sorted(_SUFFIXES))
        raise CorpusError(f"{folder}: no sound below it ({kinds}); is this the unpacked archive?")
    return paths


def digest_of_sound(path: Path) -> tuple[str, str]:
    """(problem, digest of what is heard); one of them is empty.

    A lossless file's is of its rate, channels and samples, in 32-bit integers. Decoders of lossy ones differ in the
    last bits, so there it is of the file's bytes.
    """
    try:
        with path.open("rb") as file:
            if instead := placeholder(file.read(START)):
                return f"{path}: {instead}", ""
        if path.suffix.lower() in _LOSSY:
            length, content = soundfile.info(path).frames, path.read_bytes()
        else:
            samples, rate = soundfile.read(path, dtype="int32", always_2d=True)
            length, content = (
                len(samples),
                f"{rate} {samples.shape[1]} ".encode() + np.ascontiguousarray(samples).tobytes(),
            )
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        return f"{path}: can't be decoded ({error})".replace("\n", " "), ""
    return ("", hashlib.blake2b(content, digest_size=16).hexdigest()) if length else (f"{path}: holds no samples", "")
