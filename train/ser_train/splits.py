"""Who trains, who stops the training, who is tested: the three protocols.

`notebook`   every recording twice, a random fifth for the test, and the test set also stops the training. It measures
             memory, and is here to show what the notebook's figure is worth.
`utterance`  every recording once, a random fifth for the test, a tenth of the rest stops the training.
             The voices of the test are known from training.
`speaker`    five folds of actors; the test actors, and the actors that stop the training, are heard by nobody else.
             The figure that counts: users bring new voices.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split

from ser_train.corpus import CorpusError, Utterance, unique

__all__ = ["PROTOCOLS", "SPEAKER_FOLDS", "Protocol", "Split"]

# Test actors of each fold, as in the literature that reports speaker-independent RAVDESS figures.
SPEAKER_FOLDS = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)
_VALIDATION_ACTORS = 3  # of the 19 or 20 that train


@dataclass(frozen=True)
class Split:
    """Three lists of utterances; `validation` stops the training, `test` gives the figure."""

    train: tuple[Utterance, ...]
    validation: tuple[Utterance, ...]
    test: tuple[Utterance, ...]

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            if not getattr(self, name):
                raise CorpusError(f"no utterance is left for {name}: the corpus is too small for this protocol")


@dataclass(frozen=True)
class Protocol:
    """A way to split a corpus, and how many folds it has."""

    folds: int
    split: Callable[[Sequence[Utterance], int, int], Split]  # utterances, fold, seed


def _notebook(utterances: Sequence[Utterance], fold: int, seed: int) -> Split:
    twice = [u for u in unique(utterances) for _ in range(2)]  # the popular copy of the corpus holds each file twice
    train, test = _stratified(twice, 0.2, seed)
    return Split(tuple(train), tuple(test), tuple(test))


def _utterance(utterances: Sequence[Utterance], fold: int, seed: int) -> Split:
    rest, test = _stratified(unique(utterances), 0.2, seed)
    train, validation = _stratified(rest, 0.1, seed)
    return Split(tuple(train), tuple(validation), tuple(test))


def _speaker(utterances: Sequence[Utterance], fold: int, seed: int) -> Split:
    recordings = unique(utterances)
    others = sorted({u.actor for u in recordings} - set(SPEAKER_FOLDS[fold]))
    if len(others) < 2:
        raise CorpusError(f"fold {fold} needs at least two actors besides {SPEAKER_FOLDS[fold]}; found {others}")
    count = min(_VALIDATION_ACTORS, len(others) // 2)
    stoppers = set(np.random.default_rng([seed, fold]).choice(others, count, replace=False).tolist())
    return Split(
        tuple(u for u in recordings if u.actor in others and u.actor not in stoppers),
        tuple(u for u in recordings if u.actor in stoppers),
        tuple(u for u in recordings if u.actor in SPEAKER_FOLDS[fold]),
    )


def _stratified(items: Sequence[Utterance], share: float, seed: int) -> tuple[list[Utterance], list[Utterance]]:
    """(the rest, the share), each emotion in its proportion; repeatable by seed."""
    try:
        rest, part = train_test_split(items, test_size=share, stratify=[u.label for u in items], random_state=seed)
    except ValueError as e:
        raise CorpusError(f"{len(items)} utterances are too few to split by emotion ({e})") from e
    return rest, part


PROTOCOLS = {
    "notebook": Protocol(1, _notebook),
    "utterance": Protocol(1, _utterance),
    "speaker": Protocol(5, _speaker),
}
