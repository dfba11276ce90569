"""Who trains, who stops the training, who is tested: the protocols.

`notebook`   every recording twice, a random fifth for the test, and the test set also stops the training. It measures
             memory, and is here to show what the notebook's figure is worth.
`utterance`  every recording once, a random fifth for the test, a tenth of the rest stops the training.
             The voices of the test are known from training.
`speaker`    five folds of actors; the test actors, and the actors that stop the training, are heard by nobody else.
             The figure that counts: users bring new voices.
`inner`      for choosing settings. Fold k hears neither the actors of `speaker`'s fold k nor those of the next one, and
             is tested on both. So the settings for `speaker`'s fold k can be chosen by networks that never heard its
             actors and by figures that aren't theirs: fold k's on the next fold's actors, fold k-1's on its own.
`all`        every actor trains; for the network to ship, when nothing is left to choose. Three actors who train are
             its test and validation too, so that export has something to check: its figures mean nothing.

RAVDESS speech alone is split and gives every figure. Other corpora, RAVDESS song among them, may train as `others`
where voices are kept apart: an actor of the test is not heard singing either.

One's own recordings take its place, by `speaker` and `all` alone: their speakers, in the order of their names, are
dealt out to the five folds.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split

from ser_train.data.corpus_loader import EMOTIONS, CorpusError, Utterance, labels_of, unique
from ser_train.data.corpus_registry import CUSTOM

__all__ = ["PROTOCOLS", "SPEAKER_FOLDS", "Protocol", "Split"]

# Test actors of each fold, as in the literature that reports speaker-independent RAVDESS figures.
SPEAKER_FOLDS = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)
_SPLIT = ("ravdess", CUSTOM.name)  # never together
_VALIDATION_ACTORS = 3  # of the 19 or 20 that train


@dataclass(frozen=True)
class Split:
    """Lists of utterances; `validation` stops the training, `test` gives the figure."""

    train: tuple[Utterance, ...]
    validation: tuple[Utterance, ...]
    test: tuple[Utterance, ...]
    extra: tuple[Utterance, ...] = ()  # of other corpora, that may train as well where nothing stops the training

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            if not getattr(self, name):
                raise CorpusError(f"no utterance is left for {name}: the corpus is too small for this protocol")
        heard = {u.emotion for u in (*self.train, *self.validation)}
        if self.train[0].is_custom and (unheard := sorted(set(self.labels) - heard)):
            raise CorpusError(
                f"{', '.join(unheard)}: said by {', '.join(sorted({str(u.actor) for u in self.test}))} alone, who are "
                "tested, so nobody teaches it; record it with more speakers"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """What the network answers, in the order of its output."""
        return labels_of((*self.train, *self.validation, *self.test))


@dataclass(frozen=True)
class Protocol:
    """A way to split a corpus, and how many folds it has."""

    folds: int
    make: Callable[[Sequence[Utterance], int, int], Split]  # utterances, fold, seed
    custom: bool = False  # whether it is for one's own recordings as well

    def split(self, utterances: Sequence[Utterance], fold: int, seed: int) -> Split:
        """The parts of a fold.

        Raises:
            CorpusError: a corpus that is too small, or one's own recordings by a protocol that isn't for them.
        """
        if not self.custom and any(u.is_custom for u in utterances):
            raise CorpusError(
                "your own recordings are split by speaker, so that nobody is both trained on and tested: "
                "use --protocol speaker for the figure, --protocol all for the network to use"
            )
        return self.make(utterances, fold, seed)


def _notebook(utterances: Sequence[Utterance], fold: int, seed: int) -> Split:
    speech, _ = _parted(utterances)
    twice = [u for u in speech for _ in range(2)]  # the popular copy of the corpus holds each file twice
    train, test = _stratified(twice, 0.2, seed)
    return Split(tuple(train), tuple(test), tuple(test))


def _utterance(utterances: Sequence[Utterance], fold: int, seed: int) -> Split:
    speech, _ = _parted(utterances)
    rest, test = _stratified(speech, 0.2, seed)
    train, validation = _stratified(rest, 0.1, seed)
    return Split(tuple(train), tuple(validation), tuple(test))


def _speaker(utterances: Sequence[Utterance], fold: int, seed: int) -> Split:
    return _apart(utterances, _speaker_folds(utterances)[fold], fold, seed)


def _speaker_folds(utterances: Sequence[Utterance]) -> Sequence[Sequence[int | str]]:
    """Test actors of each fold."""
    own = sorted({u.actor for u in utterances if u.is_custom})
    if not own:
        return SPEAKER_FOLDS
    if len(own) < len(SPEAKER_FOLDS):
        raise CorpusError(
            f"{len(own)} speakers are too few for {len(SPEAKER_FOLDS)} folds of voices that weren't heard: "
            f"{', '.join(map(str, own))}; record more, or train on all of them, without a figure, by --protocol all"
        )
    return [own[fold :: len(SPEAKER_FOLDS)] for fold in range(len(SPEAKER_FOLDS))]


def _inner(utterances: Sequence[Utterance], fold: int, seed: int) -> Split:
    return _apart(utterances, SPEAKER_FOLDS[fold] + SPEAKER_FOLDS[(fold + 1) % len(SPEAKER_FOLDS)], fold, seed)


def _all(utterances: Sequence[Utterance], fold: int, seed: int) -> Split:
    speech, others = _parted(utterances)
    shown = _drawn({u.actor for u in speech}, _VALIDATION_ACTORS, [seed])
    part = _of(speech, shown)
    return Split(tuple(speech), part, part, tuple(others))


def _apart(utterances: Sequence[Utterance], tested: Sequence[int | str], fold: int, seed: int) -> Split:
    """The tested actors, those who stop the training, and everybody else: no voice is in two parts."""
    speech, others = _parted(utterances)
    rest = {u.actor for u in speech}.difference(tested)
    if len(rest) < 2:
        raise CorpusError(f"fold {fold} needs at least two actors besides {tested}; found {sorted(rest)}")
    stoppers = _drawn(rest, min(_VALIDATION_ACTORS, len(rest) // 2), [seed, fold])
    heard = {u.actor for u in utterances} - set(tested)  # with 0, who is everybody of other corpora
    return Split(_of(speech, heard - stoppers), _of(speech, stoppers), _of(speech, tested), _of(others, heard))


def _parted(utterances: Sequence[Utterance]) -> tuple[list[Utterance], list[Utterance]]:
    """(RAVDESS speech, or one's own; all others), every recording once."""
    recordings = unique(utterances)
    return [u for u in recordings if u.corpus in _SPLIT], [u for u in recordings if u.corpus not in _SPLIT]


def _of(utterances: Sequence[Utterance], actors: Collection[int | str]) -> tuple[Utterance, ...]:
    return tuple(u for u in utterances if u.actor in actors)


def _drawn(actors: Collection[int | str], count: int, seed: Sequence[int]) -> set[int | str]:
    """So many of them, or all if they are fewer."""
    draw = np.random.default_rng(seed).choice(sorted(actors), min(count, len(actors)), replace=False)
    return set(draw.tolist())


def _stratified(items: Sequence[Utterance], share: float, seed: int) -> tuple[list[Utterance], list[Utterance]]:
    """(the rest, the share), each emotion in its proportion; repeatable by seed."""
    try:
        emotions = [EMOTIONS.index(u.emotion) for u in items]
        rest, part = train_test_split(items, test_size=share, stratify=emotions, random_state=seed)
    except ValueError as e:
        raise CorpusError(f"{len(items)} utterances are too few to split by emotion ({e})") from e
    return rest, part


PROTOCOLS = {
    "notebook": Protocol(1, _notebook),
    "utterance": Protocol(1, _utterance),
    "speaker": Protocol(len(SPEAKER_FOLDS), _speaker, custom=True),
    "inner": Protocol(len(SPEAKER_FOLDS), _inner),
    "all": Protocol(1, _all, custom=True),
}
