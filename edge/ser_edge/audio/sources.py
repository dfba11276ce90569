"""A path, a file object, or an array with its rate becomes a `Sound`."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy.typing as npt

from ser_edge.audio.decoding.decoder import open_sound
from ser_edge.audio.formats import AUDIO_SUFFIXES
from ser_edge.audio.sound import Sound
from ser_edge.errors import AudioError

Source = (
    str
    | bytes
    | os.PathLike[str]
    | os.PathLike[bytes]
    | BinaryIO
    | Sound
    | npt.ArrayLike
    | tuple[npt.ArrayLike, npt.ArrayLike]
)
T = TypeVar("T")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_MAX_PATH = 4096  # bytes


@contextmanager
def open_source(source: Source, sample_rate: Any = None) -> Iterator[Sound]:
    """Opens any argument of `Recognizer.predict`.

    Args:
        source: the path of a sound file; a binary file object that holds one, an upload or a `soundfile.SoundFile`
            included; an open `Sound`; samples as `samples.arrays.array_to_samples` takes them; or these with their
            rate, in a tuple.
        sample_rate: Hz of samples; files contain theirs.

    Raises:
        AudioError: it can't be used.
        TypeError: not a sound, or samples without a sample rate.
    """
    any_source: Any = source
    if isinstance(any_source, str | os.PathLike) or _names_file(any_source):
        path = os.fsdecode(any_source)
        _check_path(path)
        with open_sound(path) as sound:
            yield sound
    elif isinstance(any_source, Sound):
        yield any_source
    elif _reads(any_source):
        from ser_edge.audio.decoding.file_objects import binary_file, is_sound_file, sound_of_file

        if is_sound_file(any_source):
            with sound_of_file(any_source) as sound:
                yield sound
            return
        with binary_file(any_source) as (file, name), open_sound(file, name) as sound:
            yield sound
    else:
        from ser_edge.audio.samples.arrays import sound_of_array

        yield sound_of_array(any_source, sample_rate)


def list_of_sounds(source: Any, sample_rate: Any = None) -> Sequence[Any] | None:
    """The sounds in a list or tuple of sounds; None for one sound.

    One sound are a list of numbers or of lists of numbers, (samples, rate) and (rate, samples), and an empty list with
    a sample rate. All others are lists of sounds, those of arrays too: channels are rows or columns of one array.

    Raises:
        TypeError: sounds and numbers, or lists of numbers, in one list.
    """
    if not isinstance(source, list | tuple):
        return None
    from ser_edge.audio.samples.array_types import holds_numbers, split_rate

    if not source:
        return source if sample_rate is None else None
    if split_rate(source) is not None or (holds_numbers(source[0]) and holds_numbers(source[-1])):
        return None
    for place, item in enumerate(source):
        if holds_numbers(item):
            advice = "(samples, rate) is a tuple, and samples in a list of sounds are arrays"
            raise TypeError(f"{type(source).__name__} of sounds: [{place}] is a number, or a list of them; {advice}")
        if isinstance(item, list | tuple) and split_rate(item) is None:
            raise TypeError(f"{type(source).__name__} of sounds: [{place}] is another list; give one list of sounds")
    return source


def for_each(sounds: Sequence[Any], work: Callable[[Any], T]) -> list[T]:
    """What `work` gives for each sound; what it raises gets a note that says for which."""
    results = []
    for place, sound in enumerate(sounds):
        try:
            results.append(work(sound))
        except Exception as e:
            e.add_note(f"in the list of sounds: [{place}]")
            raise
    return results


def check_chunks(chunks: Any) -> None:
    """Raises TypeError for what `stream` would iterate over without getting chunks (paths, files, an array)."""
    from ser_edge.audio.samples.array_types import is_raw_bytes

    kind = type(chunks).__name__
    if is_raw_bytes(chunks):
        raise TypeError(f"{kind}: no chunks; for 16-bit samples type stream([np.frombuffer(data, np.int16)], ...)")
    if isinstance(chunks, str | os.PathLike) or hasattr(chunks, "read"):
        raise TypeError(f"{kind}: no chunks of samples; for a file type stream(soundfile.blocks(file, 1600), ...)")
    if hasattr(chunks, "ndim") or hasattr(chunks, "typecode"):
        raise TypeError(f"{kind}: no chunks but one array; type stream([array], ...), or list(array) for its rows")
    if hasattr(chunks, "__aiter__"):
        raise TypeError(f"{kind}: async; type create_stream(sample_rate), and accept_waveform(chunk) for each")
    if not hasattr(chunks, "__iter__") and not hasattr(chunks, "__getitem__"):
        raise TypeError(f"{kind}: no chunks; give something that yields arrays of samples")


def _reads(source: Any) -> bool:
    """Whether it is a file object, or an upload, which keeps one."""
    return any(hasattr(holder, "read") for holder in (source, getattr(source, "file", 0), getattr(source, "stream", 0)))


def _names_file(source: Any) -> bool:
    """Whether bytes are the path of something, as `os.listdir(b".")` gives it, rather than sound."""
    if not isinstance(source, bytes) or not 0 < len(source) <= _MAX_PATH or b"\0" in source:
        return False
    path = Path(os.fsdecode(source))
    with suppress(OSError, ValueError):
        return path.suffix.lower() in AUDIO_SUFFIXES or path.exists()
    return False


def _check_path(path: str) -> None:
    """Raises AudioError with more advice than `open_sound` can give: for no path, a URL, `~`, a folder of sounds."""
    with suppress(OSError, ValueError):  # too long, or with a zero in it: opening it raises
        place = Path(path)
        if not path:
            raise AudioError("the path is empty; was a variable not set?", code="audio-not-found")
        if place.is_dir():
            below = (found.suffix for found in chain(place.glob("*"), place.glob("*/*")))
            if suffix := next((suffix for suffix in below if suffix.lower() in AUDIO_SUFFIXES), None):
                each = f'predict_files(Path({path!r}).rglob("*{suffix}"))'
                raise AudioError(f"{path}: a folder; for the sounds in it type {each}", code="audio-folder")
        elif not place.exists():
            if _URL.match(path):
                raise AudioError(f"{path}: a URL; give the path of a file, downloaded first", code="audio-not-found")
            if path.startswith("~"):
                raise AudioError(f"{path}: no such file or folder; write out what ~ stands for", code="audio-not-found")
