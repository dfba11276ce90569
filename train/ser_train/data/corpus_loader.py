"""Reads corpora into lists of utterances with digests of their audio.

A corpus is a folder of any depth with sounds named as in `corpus_registry`; several corpora may share one. A custom
corpus is described by its folders or a table (`custom`). `download` provides the folder. All problems are collected
into one error: a corpus with missing files would give figures that can't be reproduced.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import joblib

from ser_edge.errors import printable
from ser_train.data.audio_files import audio_digest, find_sounds
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
    """Parses a file name by the first corpus whose pattern it matches.

    Returns:
        An utterance without digest. Its emotion may be one that isn't in EMOTIONS; `read_corpora` leaves these out.

    Raises:
        CorpusError: a name of no corpus, or a code that its corpus doesn't have.

    >>> parse(Path("03-01-05-02-01-02-12.wav")).emotion
    'angry'
    """
    corpus, parts = next(((c, parts) for c in CORPORA.values() if (parts := c.parts(path))), (None, {}))
    if corpus is None:
        titles = ", ".join(c.title for c in CORPORA.values())
        message = f"{path}: not an audio file's name in {titles}; {CUSTOM_LAYOUT}"
        raise CorpusError(message, code="corpus-layout")
    if code := corpus.unknown(parts):
        raise CorpusError(f"{path}: {code} is none of {corpus.title}'s", code="corpus-layout")
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
        folders: with sounds at any depth; other files are ignored. Or one custom corpus.
        jobs: processes that decode; -1 for a process a core.

    Returns:
        The utterances in the order of their names, whatever the order of the folders. Those of an emotion that isn't in
        EMOTIONS (EMO-DB's boredom), and further versions of a known corpus's files, are left out, with a warning in the
        log.

    Raises:
        CorpusError: no folder, no file, names that don't parse, files that can't be decoded.
    """
    if custom := [folder for folder in folders if is_custom(folder)]:
        if len(folders) > 1:
            raise CorpusError(
                f"{custom[0]}: your own recordings are trained on alone; give one --data, a CSV for several folders",
                code="corpus-layout",
            )
        labelled = read_custom(custom[0])
    else:
        labelled = _known([path for folder in folders for path in find_sounds(folder)])
    digests = joblib.Parallel(n_jobs=jobs, batch_size=32)(joblib.delayed(audio_digest)(u.path) for u in labelled)
    problems = ((u.path, problem) for u, (problem, _) in zip(labelled, digests, strict=True) if problem)
    raise_problems(problems, "corpus-unreadable")
    hashed = [replace(u, digest=content) for u, (_, content) in zip(labelled, digests, strict=True)]
    hashed.sort(key=lambda u: (u.name, str(u.path)))
    if not custom:
        return _one_version(hashed)
    check_recordings(hashed)
    return hashed


def _one_version(utterances: Sequence[Utterance]) -> list[Utterance]:
    """Without files whose name an earlier one has, but not its samples: the recording at another rate, or encoded.

    By their digests they would be other recordings, so that one might train and the other be tested.
    """
    firsts: dict[tuple[str, str, str], Utterance] = {}
    kept, others = [], []
    for utterance in utterances:
        first = firsts.setdefault((utterance.corpus, utterance.speaker, utterance.name), utterance)
        if utterance.digest == first.digest:
            kept.append(utterance)
        else:
            others.append((utterance.path, first.path))
    if others:
        message = "%d files are left out: other versions of recordings that are there, like %s of %s"
        _log.warning(message, len(others), *others[0])
    return kept


def _known(paths: Sequence[Path]) -> list[Utterance]:
    """Utterances of known corpora, by their names, without digests."""
    utterances, problems = [], []
    for path in paths:
        try:
            utterances.append(parse(path))
        except CorpusError as error:
            problems.append((path, str(error).removeprefix(printable(f"{path}: "))))
    raise_problems(problems, "corpus-layout")
    for emotion, count in Counter(u.emotion for u in utterances if u.emotion not in EMOTIONS).items():
        _log.warning("%d files of %s are left out: none of the %d labels", count, emotion, len(EMOTIONS))
    return [u for u in utterances if u.emotion in EMOTIONS]
