"""Corpora as lists of utterances: names parsed, contents hashed, duplicates known.

A corpus is a folder of any depth that holds sounds named as `corpora` says; several may share one. Your own recordings
are told by their folders or by a table (`own`). Getting the folder (from a zip, or from the internet) is `fetch`'s
business. Problems are collected and said with their paths, all at once: a corpus with a hole in it would give figures
nobody can repeat.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import joblib

from ser_edge.errors import printable
from ser_train.data.audio_files import digest_of_sound, sounds
from ser_train.data.corpus_registry import CORPORA, EMOTIONS
from ser_train.data.custom.custom_corpus import check_recordings, is_custom, read_custom
from ser_train.data.custom.folder_layouts import CUSTOM_LAYOUT
from ser_train.data.utterance import CorpusError, Utterance, digest, duplicates, labels_of, raise_problems, unique

__all__ = [
    "EMOTIONS",
    "CorpusError",
    "Utterance",
    "digest",
    "duplicates",
    "labels_of",
    "parse",
    "read_corpora",
    "read_corpus",
    "unique",
]

_log = logging.getLogger(__name__)


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
        titles = ", ".join(c.title for c in CORPORA.values())
        raise CorpusError(f"{path}: not an audio file's name in {titles}; {CUSTOM_LAYOUT}")
    if code := corpus.unknown(parts):
        raise CorpusError(f"{path}: {code} is none of {corpus.title}'s")
    emotion, speaker, intensity = (parts.get(part, "") for part in ("emotion", "speaker", "intensity"))
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
    """One folder, or one table, as `read_corpora` reads several."""
    return read_corpora([folder], jobs)


def read_corpora(folders: Sequence[Path], jobs: int = -1) -> list[Utterance]:
    """Finds, parses and hashes every utterance below some folders.

    Args:
        folders: hold sounds at any depth; files that aren't sounds are left alone. Or your own recordings alone, as
            `own` reads them.
        jobs: processes that decode; -1 for a process a core.

    Returns:
        The utterances in the order of their names, whichever the order of the folders. Those with an emotion that has
        no label of ours (EMO-DB's boredom) are left out; the log tells how many.

    Raises:
        CorpusError: no folder, no file, names that don't parse, files that can't be decoded.
    """
    if own := [folder for folder in folders if is_custom(folder)]:
        if len(folders) > 1:
            raise CorpusError(
                f"{own[0]}: your own recordings are trained on alone; give one --data, a CSV for several folders"
            )
        labelled = read_custom(own[0])
    else:
        labelled = _known([path for folder in folders for path in sounds(folder)])
    digests = joblib.Parallel(n_jobs=jobs, batch_size=32)(joblib.delayed(digest_of_sound)(u.path) for u in labelled)
    raise_problems((u.path, problem) for u, (problem, _) in zip(labelled, digests, strict=True) if problem)
    hashed = [replace(u, digest=content) for u, (_, content) in zip(labelled, digests, strict=True)]
    if own:
        check_recordings(hashed)
    return sorted(hashed, key=lambda u: (u.name, str(u.path)))


def _known(paths: Sequence[Path]) -> list[Utterance]:
    """By their names, without digests."""
    utterances, problems = [], []
    for path in paths:
        try:
            utterances.append(parse(path))
        except CorpusError as error:
            problems.append((path, str(error).removeprefix(printable(f"{path}: "))))
    raise_problems(problems)
    for emotion, count in Counter(u.emotion for u in utterances if u.emotion not in EMOTIONS).items():
        _log.warning("%d files of %s are left out: none of the %d labels", count, emotion, len(EMOTIONS))
    return [u for u in utterances if u.emotion in EMOTIONS]
