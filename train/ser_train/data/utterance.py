"""`Utterance`, one labelled recording; and what is asked of lists of them: labels, duplicates, digests."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ser_edge.errors import SerEdgeError
from ser_train.data.corpus_registry import CUSTOM, EMOTIONS

_SHOWN = 5  # kinds of problems in one message


class CorpusError(SerEdgeError):
    """Training data that is missing, damaged, or not what it should be."""

    code = "corpus"


@dataclass(frozen=True)
class Utterance:
    """One recording with its label and speaker, from its file name, its folders or a table."""

    path: Path
    corpus: str  # a key of CORPORA, or CUSTOM's name
    emotion: str  # one of EMOTIONS; in a custom corpus any label
    speaker: str  # like "nemo/EB0", unique over all corpora
    sex: str  # "female" or "male"; "" if unknown
    intensity: str  # "normal", "strong", or "" if unknown
    text: str  # the corpus's code of the sentence: RAVDESS's "01", TESS's "back"; in a custom corpus the file
    digest: str = ""  # of the decoded samples: equal for the same recording in any lossless container

    @property
    def is_custom(self) -> bool:
        """Whether it is of a custom corpus."""
        return self.corpus == CUSTOM.name

    @property
    def actor(self) -> int | str:
        """RAVDESS's number, 1 to 24, in speech and in song; the name in a custom corpus; 0 in every other corpus."""
        family, _, code = self.speaker.partition("/")
        return int(code) if family == "ravdess" else code if self.is_custom else 0

    @property
    def name(self) -> str:
        """The file's name without suffix; in a custom corpus label, speaker and file."""
        return f"{self.emotion}/{self.actor}/{self.text}" if self.is_custom else self.path.stem


def raise_problems(problems: Iterable[tuple[object, str]], code: str) -> None:
    """Raises all problems, if there are any, as one CorpusError in one line.

    Args:
        problems: (place, what is wrong and what to do); the same problem at several places is listed once.
        code: of the error.

    >>> raise_problems([("a.wav", "no voice"), ("b.wav", "no voice"), ("d.wav", "no label")], "corpus-layout")
    Traceback (most recent call last):
    ...
    ser_train.data.utterance.CorpusError: a.wav and 1 more: no voice; d.wav: no label
    """
    places = defaultdict(list)
    for where, reason in problems:
        places[reason].append(where)
    lines = [
        f"{where}{f' and {len(others)} more' if others else ''}: {reason}"
        for reason, (where, *others) in list(places.items())[:_SHOWN]
    ]
    if lines:
        more = sum(map(len, list(places.values())[_SHOWN:]))
        raise CorpusError("; ".join(lines) + (f"; and {more} more" if more else ""), code=code)


def labels_of(utterances: Iterable[Utterance]) -> tuple[str, ...]:
    """The labels of a network trained on them: EMOTIONS; for a custom corpus its labels, sorted."""
    return tuple(sorted({u.emotion for u in utterances if u.is_custom})) or EMOTIONS


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
    """Digest of recordings and their names, wherever the files are and in any order."""
    content = sorted({f"{u.name} {u.digest}" for u in utterances})
    return hashlib.blake2b("\n".join(content).encode(), digest_size=8).hexdigest()
