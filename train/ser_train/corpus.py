"""RAVDESS speech as a list of utterances: names parsed, contents hashed, duplicates known.

A corpus is a folder of any depth that holds WAV or FLAC files named as the corpus names them. Getting the folder
(from a zip, or from the internet) is `fetch`'s business. Problems are collected and said with their paths, all at
once: a corpus with a hole in it would give figures nobody can repeat.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import soundfile

from ser_edge.errors import SerEdgeError

__all__ = ["EMOTIONS", "CorpusError", "Utterance", "digest", "duplicates", "parse", "read_corpus", "unique"]

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")  # codes 01 to 08
_NAME = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)")
_SUFFIXES = frozenset({".wav", ".flac"})
_SHOWN = 5  # problems listed in one message


class CorpusError(SerEdgeError):
    """Training data that is missing, damaged, or not what it should be."""


@dataclass(frozen=True)
class Utterance:
    """One recording, as its file name describes it (Livingstone & Russo, 2018)."""

    path: Path
    emotion: str  # one of EMOTIONS
    intensity: str  # "normal" or "strong"
    statement: int  # 1 "Kids are talking by the door", 2 "Dogs are sitting by the door"
    repetition: int  # 1 or 2
    actor: int  # 1 to 24
    digest: str = ""  # of the decoded samples: the same recording has the same one, in any container

    @property
    def sex(self) -> str:
        """Odd actors are male, even ones female."""
        return "female" if self.actor % 2 == 0 else "male"

    @property
    def label(self) -> int:
        """The emotion's place in EMOTIONS."""
        return EMOTIONS.index(self.emotion)


def parse(path: Path) -> Utterance:
    """Reads a RAVDESS file name: modality-channel-emotion-intensity-statement-repetition-actor.

    Raises:
        CorpusError: another kind of name, a code out of range, or a file that isn't audio-only speech.

    >>> parse(Path("03-01-05-02-01-02-12.wav")).emotion
    'angry'
    """
    match = _NAME.fullmatch(path.stem)
    if not match:
        raise CorpusError(f"{path}: not a RAVDESS name like 03-01-05-02-01-02-12.wav")
    modality, channel, emotion, intensity, statement, repetition, actor = map(int, match.groups())
    if (modality, channel) != (3, 1):
        raise CorpusError(f"{path}: not audio-only speech (its name should begin with 03-01)")
    for what, value, most in (
        ("emotion", emotion, len(EMOTIONS)),
        ("intensity", intensity, 2),
        ("statement", statement, 2),
        ("repetition", repetition, 2),
        ("actor", actor, 24),
    ):
        if not 1 <= value <= most:
            raise CorpusError(f"{path}: {what} {value:02} is none of RAVDESS's (01 to {most:02})")
    return Utterance(path, EMOTIONS[emotion - 1], ("normal", "strong")[intensity - 1], statement, repetition, actor)


def read_corpus(folder: Path, jobs: int = -1) -> list[Utterance]:
    """Finds, parses and hashes every utterance below a folder, in the order of their names.

    Args:
        folder: holds WAV or FLAC files at any depth; other files are left alone.
        jobs: processes that decode; -1 for a process a core.

    Raises:
        CorpusError: no folder, no file, names that don't parse, files that can't be decoded.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder; give one with RAVDESS=path or --data path")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and not p.name.startswith("."))
    if not paths:
        raise CorpusError(f"{folder}: no WAV or FLAC file below it; is this the unpacked RAVDESS speech archive?")
    utterances, problems = [], []
    for path in paths:
        try:
            utterances.append(parse(path))
        except CorpusError as error:
            problems.append(str(error))
    _raise(problems)
    digests = joblib.Parallel(n_jobs=jobs, batch_size=32)(joblib.delayed(_digest)(u.path) for u in utterances)
    _raise([error for error, _ in digests if error])
    hashed = [Utterance(**{**u.__dict__, "digest": d}) for u, (_, d) in zip(utterances, digests, strict=True)]
    return sorted(hashed, key=lambda u: (u.path.stem, str(u.path)))


def unique(utterances: Iterable[Utterance]) -> list[Utterance]:
    """The first of each recording, in order."""
    firsts: dict[str, Utterance] = {}
    for utterance in utterances:
        firsts.setdefault(utterance.digest, utterance)
    return list(firsts.values())


def duplicates(utterances: Iterable[Utterance]) -> list[list[Utterance]]:
    """Groups of two or more files that hold the same recording."""
    groups = defaultdict(list)
    for utterance in utterances:
        groups[utterance.digest].append(utterance)
    return [group for group in groups.values() if len(group) > 1]


def digest(utterances: Iterable[Utterance]) -> str:
    """Of a whole corpus: the same recordings under the same names have the same one, wherever they are."""
    content = sorted({f"{u.path.stem} {u.digest}" for u in utterances})
    return hashlib.blake2b("\n".join(content).encode(), digest_size=8).hexdigest()


def _digest(path: Path) -> tuple[str, str]:
    """(problem, digest of rate, channels and samples); one of them is empty. Decoded to 32-bit integers: lossless."""
    try:
        samples, rate = soundfile.read(path, dtype="int32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        return f"{path}: can't be decoded ({error})".replace("\n", " "), ""
    if len(samples) == 0:
        return f"{path}: holds no samples", ""
    header = f"{rate} {samples.shape[1]} ".encode()
    return "", hashlib.blake2b(header + np.ascontiguousarray(samples).tobytes(), digest_size=16).hexdigest()


def _raise(problems: Sequence[str]) -> None:
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise CorpusError("; ".join(problems[:_SHOWN]) + more)
