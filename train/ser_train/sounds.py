"""Sound files: found below a folder, and known by what is heard in them."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from ser_edge.audio.decoding import read
from ser_edge.audio.formats import AUDIO_SUFFIXES
from ser_edge.errors import AudioError, printable
from ser_train.utterances import CorpusError

__all__ = ["digest_of_sound", "is_junk", "sounds"]

_LOSSLESS = frozenset({".aif", ".aiff", ".au", ".caf", ".flac", ".w64", ".wav"})
_RATE = 16_000  # Hz, to decode a file at, to see whether it can be


def sounds(folder: Path) -> list[Path]:
    """Those at any depth, sorted, through links too; what `is_junk` and other files are left alone.

    Raises:
        CorpusError: no folder, one that can't be read, or no sound below it.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder; give one with RAVDESS=path or --data path")
    try:
        paths = sorted(_below(folder, frozenset()))
    except OSError as e:
        raise CorpusError(f"{e.filename}: can't be read ({e.strerror}); try: ls -ld {e.filename}") from e
    if not paths:
        kinds = ", ".join(sorted(AUDIO_SUFFIXES))
        raise CorpusError(f"{folder}: no sound below it ({kinds}); is this the unpacked archive?")
    return paths


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or is what macOS puts beside everything in a zip."""
    return name.startswith(".") or name == "__MACOSX"


def _below(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    """Of the folders that lie above it come the identities: a link back to one of them is not followed."""
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        found = [Path(entry.path) for entry in entries if not is_junk(entry.name)]
    for path in found:
        if path.is_dir():
            yield from _below(path, above | {here})
        elif path.suffix.lower() in AUDIO_SUFFIXES and (path.is_file() or path.is_symlink()):
            yield path  # a link that leads nowhere too: it is refused, not passed over


def digest_of_sound(path: Path) -> tuple[str, str]:
    """(problem, digest of what is heard); one of them is empty.

    A lossless file's is of its rate, channels and samples, in 32-bit integers. Decoders of lossy ones differ in the
    last bits, so there it is of the file's bytes; and where libsndfile finds nothing, but the runtime does.
    """
    problem = "holds no samples"
    try:
        content = _samples(path) if path.suffix.lower() in _LOSSLESS else _bytes(path)
    except (soundfile.LibsndfileError, RuntimeError, OSError):
        content, problem = b"", ""
    if not content:
        try:
            read(path, _RATE)
            content = path.read_bytes()
        except (AudioError, OSError) as error:
            reason = str(error).removeprefix(printable(f"{path}: "))
            return problem or f"can't be decoded ({reason})", ""
    return "", hashlib.blake2b(content, digest_size=16).hexdigest()


def _samples(path: Path) -> bytes:
    samples, rate = soundfile.read(path, dtype="int32", always_2d=True)
    return f"{rate} {samples.shape[1]} ".encode() + np.ascontiguousarray(samples).tobytes() if len(samples) else b""


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if soundfile.info(path).frames else b""
