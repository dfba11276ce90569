"""Sound files below a folder, and digests of their audio."""

import hashlib
from itertools import chain
from pathlib import Path

import numpy as np

from ser_edge.audio.decoding.decoder import open_sound
from ser_edge.audio.folders import find_sound_files
from ser_edge.errors import AudioError, printable
from ser_edge.errors.user_warnings import capture_warnings
from ser_train.data.utterance import CorpusError

_LOSSLESS = frozenset([".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".rf64", ".snd", ".w64", ".wav", ".wave"])


def find_sounds(folder: Path) -> list[Path]:
    """All sound files at any depth, sorted, through links too, without those that `is_junk`.

    Raises:
        CorpusError: no folder, one that can't be read, or no sound below it.
    """
    if not folder.is_dir():
        raise CorpusError(
            f"{folder}: no such folder or table; check --data (with make: RAVDESS=path)", code="corpus-not-found"
        )
    paths = sorted(path for path in find_sound_files(folder) if not any(map(is_junk, path.relative_to(folder).parts)))
    if unreadable := next((path for path in paths if path.is_dir()), None):
        raise CorpusError(f"{unreadable}: can't be read; try: ls -ld {unreadable}", code="corpus-unreadable")
    if not paths:
        raise CorpusError(
            f"{folder}: no sound below it; give a corpus, or recordings in LABEL/SPEAKER/ (docs/own-data.md)",
            code="corpus-not-found",
        )
    return paths


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or macOS's metadata in a zip."""
    return name.startswith(".") or name == "__MACOSX"


def audio_digest(path: Path) -> tuple[str, str]:
    """(problem, digest of the audio); one of them is empty.

    A lossless file's digest is of its rate, channels and samples, as 32-bit floats. Decoders of lossy files differ in
    the last bits, so theirs is of the file's bytes.
    """
    try:
        with capture_warnings(lambda line: None), open_sound(path) as sound:  # warnings come when features are computed
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
