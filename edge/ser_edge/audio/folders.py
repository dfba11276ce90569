"""Finds the sound files below a folder, for predictions and for training."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ser_edge.audio.formats import AUDIO_SUFFIXES, MEDIA_SUFFIXES

_JUNK_FOLDER, _JUNK_FILE = "__MACOSX", "._"  # what macOS adds to archives


def find_sound_files(
    folder: Path, passed_over: Counter[str] | None = None, parents: Sequence[tuple[int, int]] = ()
) -> Iterator[Path]:
    """Yields the sound files at any depth in order, following links.

    No more than the names in a folder and in its parents are in memory. Broken links and unreadable folders are yielded
    as well, so that no sound is left out in silence.

    Args:
        folder: an existing one.
        passed_over: counts, by suffix, the sounds that this installation can't decode, which aren't yielded then.
        parents: (device, inode) of the folders that it was found in, which a link may lead back to.
    """
    try:
        here = folder.stat()
        if (here.st_dev, here.st_ino) in parents:  # a link to a folder that it lies in
            return
        with os.scandir(folder) as entries:
            found = sorted((entry.name, _is_folder(entry)) for entry in entries if _is_wanted(entry))
    except OSError:
        yield folder
        return
    for name, is_folder in found:
        suffix = Path(name).suffix.lower()
        if is_folder:
            yield from find_sound_files(folder / name, passed_over, [*parents, (here.st_dev, here.st_ino)])
        elif passed_over is not None and suffix in MEDIA_SUFFIXES and not _has_ffmpeg():
            passed_over[suffix] += 1
        else:
            yield folder / name


def _has_ffmpeg() -> bool:
    from ser_edge.audio.decoding.ffmpeg import decoder

    return decoder() is not None


def _is_wanted(entry: os.DirEntry[str]) -> bool:
    if _is_folder(entry):
        return entry.name != _JUNK_FOLDER
    if entry.name.startswith(_JUNK_FILE) or Path(entry.name).suffix.lower() not in AUDIO_SUFFIXES:
        return False
    return entry.is_symlink() or entry.is_file()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
