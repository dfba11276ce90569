"""The files that are measured on: the corpus as it was given, and the same as 48 kHz, 16-bit WAV.

RAVDESS is published as WAV. A copy of it as FLAC costs decoding that its users don't have, the same for both sides. So
everything is measured on WAV, made once into a temporary folder, and the corpus case measures the given files as well.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import soundfile

from harness.case import SOUND_SUFFIXES

__all__ = ["Corpus", "prepared"]

_SOUNDS = Path(__file__).parents[2] / "sounds"
_COPIES = 500  # of the project's own sounds, where no corpus is given


@dataclass(frozen=True)
class Corpus:
    """Folders with the same sounds below them."""

    wavs: Path
    given: Path  # the same folder, where the corpus was given as WAV
    files: int
    words: str  # for the page


def prepared(data: Path | None, limit: int | None, folder: Path) -> Corpus:
    """Makes the folders.

    Args:
        data: a folder of sound files; None takes copies of the project's own.
        limit: measure on so many files only, spread over the corpus.
        folder: an empty one, for a time.
    """
    if data is None:
        return _own(folder, min(limit or _COPIES, _COPIES))
    found = sorted(path for path in data.rglob("*") if path.suffix in SOUND_SUFFIXES)
    if not found:
        raise SystemExit(f"{data}: no WAV or FLAC file below it")
    if limit:
        found = found[:: max(1, len(found) // limit)][:limit]
    given, wavs = folder / "given", folder / "wavs"
    seconds, rates = 0.0, set()
    for path in found:
        link = given / path.relative_to(data)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
        info = soundfile.info(path)
        seconds += info.duration
        rates.add(info.samplerate)
    kinds = sorted({path.suffix for path in found})
    words = f"{len(found)} files of {seconds / len(found):.1f} s on average at {_kilohertz(rates)}"
    if kinds == [".wav"]:
        return Corpus(given, given, len(found), f"{words}, WAV")
    for path in found:
        target = (wavs / path.relative_to(data)).with_suffix(".wav")
        target.parent.mkdir(parents=True, exist_ok=True)
        samples, rate = soundfile.read(path, dtype="int16")
        soundfile.write(target, samples, rate, subtype="PCM_16")
    kind = " and ".join(kind[1:].upper() for kind in kinds)
    return Corpus(
        wavs, given, len(found), f"{words}, given as {kind} and converted to 16-bit WAV before anything began"
    )


def _own(folder: Path, count: int) -> Corpus:
    sounds = sorted(_SOUNDS.glob("*.wav"))
    for i in range(count):
        shutil.copy(sounds[i % len(sounds)], folder / f"{i:03}.wav")
    return Corpus(folder, folder, count, f"{count} copies of the project's own sounds, 16 kHz WAV: no corpus was given")


def _kilohertz(rates: set[int]) -> str:
    return " and ".join(f"{rate / 1000:g} kHz" for rate in sorted(rates))
