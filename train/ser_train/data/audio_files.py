"""Sound files: found below a folder, and known by what is heard in them."""

import hashlib
from itertools import chain
from pathlib import Path

import numpy as np

from ser_edge.audio.decoding.decoder import open_sound
from ser_edge.audio.folders import find_sound_files
from ser_edge.audio.formats import AUDIO_SUFFIXES
from ser_edge.errors import AudioError, printable
from ser_edge.errors.user_warnings import capture_warnings
from ser_train.data.utterance import CorpusError

__all__ = ["digest_of_sound", "is_junk", "sounds"]

_LOSSLESS = frozenset({".aif", ".aiff", ".au", ".flac", ".w64", ".wav"})


def sounds(folder: Path) -> list[Path]:
    """Those at any depth, sorted, through links too; what `is_junk` and other files are left alone.

    Raises:
        CorpusError: no folder, one that can't be read, or no sound below it.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder; give one with RAVDESS=path or --data path")
    paths = sorted(path for path in find_sound_files(folder) if not any(map(is_junk, path.relative_to(folder).parts)))
    if unreadable := next((path for path in paths if path.is_dir()), None):
        raise CorpusError(f"{unreadable}: can't be read; try: ls -ld {unreadable}")
    if not paths:
        kinds = ", ".join(sorted(AUDIO_SUFFIXES))
        raise CorpusError(f"{folder}: no sound below it ({kinds}); is this the unpacked archive?")
    return paths


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or is what macOS puts beside everything in a zip."""
    return name.startswith(".") or name == "__MACOSX"


def digest_of_sound(path: Path) -> tuple[str, str]:
    """(problem, digest of what is heard); one of them is empty.

    A lossless file's is of its rate, channels and samples, as 32-bit floats. Decoders of lossy ones differ in the last
    bits, so there it is of the file's bytes.
    """
    try:
        with capture_warnings(lambda line: None), open_sound(path) as sound:  # who computes features of it is warned
            first = next(sound.chunks)
            if path.suffix.lower() in _LOSSLESS:
                digest = hashlib.blake2b(f"{sound.rate} {first.shape[1]} ".encode(), digest_size=16)
                for chunk in chain([first], sound.chunks):
                    digest.update(np.ascontiguousarray(chunk).tobytes())
            else:
                digest = hashlib.blake2b(path.read_bytes(), digest_size=16)
    except (AudioError, OSError) as error:
        return str(error).removeprefix(printable(f"{path}: ")), ""
    return "", digest.hexdigest()
