"""Corpora as lists of utterances: names parsed, contents hashed, duplicates known.

A corpus is a folder of any depth that holds sounds named as `corpora` says; several may share one. Getting the folder
(from a zip, or from the internet) is `fetch`'s business. Problems are collected and said with their paths, all at
once: a corpus with a hole in it would give figures nobody can repeat.
"""

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import numpy as np
import soundfile

from ser_edge.errors import SerEdgeError
from ser_train.corpora import CORPORA, EMOTIONS

__all__ = [
    "EMOTIONS",
    "CorpusError",
    "Utterance",
    "digest",
    "duplicates",
    "parse",
    "read_corpora",
    "read_corpus",
    "unique",
]

_LOSSY = frozenset({".mp3", ".ogg", ".opus"})
_SUFFIXES = _LOSSY | {".flac", ".wav"}
_SHOWN = 5  # problems listed in one message
_log = logging.getLogger(__name__)


class CorpusError(SerEdgeError):
    """Training data that is missing, damaged, or not what it should be."""


@dataclass(frozen=True)
class Utterance:
    """One recording, as its file name describes it."""

    path: Path
    corpus: str  # a key of CORPORA
    emotion: str  # one of EMOTIONS
    speaker: str  # like "nemo/EB0": another speaker has another one, in whatever corpus
    sex: str  # "female" or "male"
    intensity: str  # "normal", "strong", or "" where the corpus doesn't tell
    text: str  # what is spoken, as the corpus calls it: RAVDESS's "01", TESS's "back"
    digest: str = ""  # of the decoded samples: the same recording has the same one, in any lossless container

    @property
    def label(self) -> int:
        """The emotion's place in EMOTIONS."""
        return EMOTIONS.index(self.emotion)

    @property
    def actor(self) -> int:
        """RAVDESS's number, 1 to 24, in speech and in song; 0 in every other corpus."""
        family, _, code = self.speaker.partition("/")
        return int(code) if family == "ravdess" else 0


def parse(path: Path) -> Utterance:
    """Reads a file name by the first corpus whose pattern it has.

    Returns:
        An utterance without digest. Its emotion may be one that isn't in EMOTIONS; `read_corpora` leaves these out.

    Raises:
        CorpusError: a name of no corpus, or with a code that its corpus doesn't have.

    >>> parse(Path("03-01-05-02-01-02-12.wav")).emotion
    'angry'
    """
    corpus, parts = next(((c, parts) for c in CORPORA.values() if (parts := c.parts(path))), (None, {}))
    if corpus is None:
        raise CorpusError(f"{path}: not an audio file's name in {', '.join(c.title for c in CORPORA.values())}")
    emotion, speaker, intensity = (parts.get(part, "") for part in ("emotion", "speaker", "intensity"))
    for part, code, codes in (
        ("emotion", emotion, corpus.emotion_codes),
        ("speaker", speaker, corpus.sexes),
        ("intensity", intensity, corpus.intensities),
    ):
        if code not in codes:
            raise CorpusError(f"{path}: {part} {code} is none of {corpus.title}'s")
    return Utterance(
        path,
        corpus.name,
        corpus.emotion_codes[emotion],
        f"{corpus.family or corpus.name}/{speaker}",
        corpus.sexes[speaker],
        corpus.intensities[intensity],
        parts["text"],
    )


def read_corpus(folder: Path, jobs: int = -1) -> list[Utterance]:
    """One folder, as `read_corpora` reads several."""
    return read_corpora([folder], jobs)


def read_corpora(folders: Sequence[Path], jobs: int = -1) -> list[Utterance]:
    """Finds, parses and hashes every utterance below some folders.

    Args:
        folders: hold sounds at any depth; files that aren't sounds are left alone.
        jobs: processes that decode; -1 for a process a core.

    Returns:
        The utterances in the order of their names, whichever the order of the folders. Those with an emotion that has
        no label of ours (EMO-DB's boredom) are left out; the log tells how many.

    Raises:
        CorpusError: no folder, no file, names that don't parse, files that can't be decoded.
    """
    utterances, problems = [], []
    for path in [path for folder in folders for path in _sounds(folder)]:
        try:
            utterances.append(parse(path))
        except CorpusError as error:
            problems.append(str(error))
    _raise(problems)
    for emotion, count in Counter(u.emotion for u in utterances if u.emotion not in EMOTIONS).items():
        _log.warning("%d files of %s are left out: none of the %d labels", count, emotion, len(EMOTIONS))
    labelled = [u for u in utterances if u.emotion in EMOTIONS]
    digests = joblib.Parallel(n_jobs=jobs, batch_size=32)(joblib.delayed(_digest)(u.path) for u in labelled)
    _raise([error for error, _ in digests if error])
    hashed = [replace(u, digest=content) for u, (_, content) in zip(labelled, digests, strict=True)]
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
    """Of all that is given: the same recordings under the same names have the same one, wherever they are."""
    content = sorted({f"{u.path.stem} {u.digest}" for u in utterances})
    return hashlib.blake2b("\n".join(content).encode(), digest_size=8).hexdigest()


def _sounds(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder; give one with RAVDESS=path or --data path")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and not p.name.startswith("."))
    if not paths:
        kinds = ", ".join(sorted(_SUFFIXES))
        raise CorpusError(f"{folder}: no sound below it ({kinds}); is this the unpacked archive?")
    return paths


def _digest(path: Path) -> tuple[str, str]:
    """(problem, digest of what is heard); one of them is empty.

    A lossless file's is of its rate, channels and samples, in 32-bit integers. Decoders of lossy ones differ in the
    last bits, so there it is of the file's bytes.
    """
    try:
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


def _raise(problems: Sequence[str]) -> None:
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise CorpusError("; ".join(problems[:_SHOWN]) + more)
