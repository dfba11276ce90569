"""Utterances, and lists of them: which labels they have, which are the same recording, and which list is which."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ser_edge.errors import SerEdgeError
from ser_train.data.corpus_registry import CUSTOM, EMOTIONS

__all__ = ["CorpusError", "Utterance", "digest", "duplicates", "labels_of", "raise_problems", "unique"]


_SHOWN = 5  # kinds of problems in one message


class CorpusError(SerEdgeError):
    """Training data that is missing, damaged, or not what it should be."""


@dataclass(frozen=True)
class Utterance:
    """One recording, as its file name describes it, or as its folders or a table do."""

    path: Path
    corpus: str  # a key of CORPORA, or CUSTOM's name
    emotion: str  # one of EMOTIONS; in one's own recordings any label
    speaker: str  # like "nemo/EB0": another speaker has another one, in whatever corpus
    sex: str  # "female" or "male"; "" where the corpus doesn't tell
    intensity: str  # "normal", "strong", or "" where the corpus doesn't tell
    text: str  # what is spoken, as the corpus calls it: RAVDESS's "01", TESS's "back"; one's own files say which file
    digest: str = ""  # of the decoded samples: the same recording has the same one, in any lossless container

    @property
    def is_custom(self) -> bool:
        """Whether it is none of a corpus that we know."""
        return self.corpus == CUSTOM.name

    @property
    def actor(self) -> int | str:
        """RAVDESS's number, 1 to 24, in speech and in song; the name of one's own speaker; 0 in every other corpus."""
        family, _, code = self.speaker.partition("/")
        return int(code) if family == "ravdess" else code if self.is_custom else 0

    @property
    def name(self) -> str:
        """The file's, without suffix: it says all of the utterance; of one's own with its label and its speaker."""
        return f"{self.emotion}/{self.actor}/{self.text}" if self.is_custom else self.path.stem


def raise_problems(problems: Iterable[tuple[object, str]]) -> None:
    """Raises what was found, if anything was, as one CorpusError in one line.

    Args:
        problems: (where, what is wrong and what to do); what is wrong at many places is said once, with their number.

    >>> raise_problems([("a.wav", "no voice"), ("b.wav", "no voice"), ("c.wav", "no voice"), ("d.wav", "no label")])
    Traceback (most recent call last):
    ...
    ser_train.data.utterance.CorpusError: a.wav and 2 more: no voice; d.wav: no label
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
        raise CorpusError("; ".join(lines) + (f"; and {more} more" if more else ""))


def labels_of(utterances: Iterable[Utterance]) -> tuple[str, ...]:
    """What a network that learns from them answers: EMOTIONS; of one's own recordings the labels they have, sorted."""
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
    """Of all that is given: the same recordings under the same names have the same one, wherever they are."""
    content = sorted({f"{u.name} {u.digest}" for u in utterances})
    return hashlib.blake2b("\n".join(content).encode(), digest_size=8).hexdigest()
