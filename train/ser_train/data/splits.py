"""Evaluation protocols: how a corpus is split into training, validation and test sets.

`notebook`   every recording twice, a random fifth for the test, which is the validation set as well. Its accuracy is
             inflated by train/test leakage, and is here to show what the notebook's figure is worth.
`utterance`  every recording once, a random fifth for the test, a tenth of the rest for validation: speakers of the test
             set are in the training set.
`speaker`    five folds of actors, speaker-independent: test and validation actors are in no other set. Recipes that
             need no validation train on its actors, too.
`inner`      nested folds for selecting settings: fold k trains without the actors of `speaker`'s folds k and k+1, and
             is tested on both. So the settings for `speaker`'s fold k can be selected by networks that weren't trained
             on its actors, and by figures on other actors: fold k's on the next fold's, fold k-1's on its own.
`all`        every actor trains; for the network to ship, when nothing is left to select. Three of them are its test and
             validation sets, so that ser-export can verify files: its figures mean nothing.

Only RAVDESS speech is split and tested. Other corpora, RAVDESS song among them, may train as `extra` in the
speaker-independent protocols, without the songs of test actors; the recipes that want them have no validation.

A custom corpus takes RAVDESS's place, by `speaker` and `all`: its speakers, sorted by name, are dealt to five folds.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split

from ser_train.data.corpus_loader import EMOTIONS, CorpusError, Utterance, labels_of, unique
from ser_train.data.corpus_registry import CUSTOM
from ser_train.data.custom.folder_layouts import CUSTOM_LAYOUT

# Test actors of each fold, as in the literature that reports speaker-independent RAVDESS figures.
SPEAKER_FOLDS = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)
_SPLIT_CORPORA = ("ravdess", CUSTOM.name)  # never together
_VALIDATION_ACTORS = 3  # of the 19 or 20 that train


@dataclass(frozen=True)
class Split:
    """The parts of a corpus for one training."""

    train: tuple[Utterance, ...]
    validation: tuple[Utterance, ...]
    test: tuple[Utterance, ...]
    extra: tuple[Utterance, ...] = ()  # of other corpora; they train where the recipe wants them

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            if not getattr(self, name):
                raise CorpusError(
                    f"no utterance is left for {name}: the corpus is too small for this protocol",
                    code="corpus-too-small",
                )
        trained = {u.emotion for u in (*self.train, *self.validation)}
        if self.train[0].is_custom and (missing := sorted(set(self.labels) - trained)):
            raise CorpusError(
                f"{', '.join(missing)}: only recorded by {', '.join(sorted({str(u.actor) for u in self.test}))}, "
                "who are test speakers, so there is no training example; record it with more speakers",
                code="corpus-too-small",
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The network's labels, in the order of its output."""
        return labels_of((*self.train, *self.validation, *self.test))


@dataclass(frozen=True)
class Protocol:
    """How a corpus is split, and into how many folds."""

    folds: int
    make: Callable[[Sequence[Utterance], int, int], Split]  # utterances, fold, seed
    custom: bool = False  # whether it is for custom corpora as well

    def split(self, utterances: Sequence[Utterance], fold: int, seed: int) -> Split:
        """The parts of a fold.

        Raises:
            CorpusError: a corpus too small, none that is split, or a custom one by a protocol that isn't for it.
        """
        if not any(u.corpus in _SPLIT_CORPORA for u in utterances):
            raise CorpusError(
                "there is no RAVDESS speech among the recordings, and that is what is split and tested; "
                f"give it as well, with another --data; {CUSTOM_LAYOUT}",
                code="corpus-not-found",
            )
        if not self.custom and any(u.is_custom for u in utterances):
            raise CorpusError(
                "your own recordings are split by speaker, so that no voice is both trained on and tested: "
                "use --protocol speaker for the accuracy, --protocol all for the network to use",
                code="corpus-protocol",
            )
        return self.make(utterances, fold, seed)


def _notebook(utterances: Sequence[Utterance], fold: int, seed: int) -> Split:
    speech, _ = _split_and_extra(utterances)
    twice = [u for u in speech for _ in range(2)]  # the popular copy of the corpus holds each file twice
    train, test = _stratified(twice, 0.2, seed)
    return Split(tuple(train), tuple(test), tuple(test))


def _utterance(utterances: Sequence[Utterance], fold: int, seed: int) -> Split:
    speech, _ = _split_and_extra(utterances)
    rest, test = _stratified(speech, 0.2, seed)
    train, validation = _stratified(rest, 0.1, seed)
    return Split(tuple(train), tuple(validation), tuple(test))


def _speaker(utterances: Sequence[Utterance], fold: int, seed: int) -> Split:
    return _speaker_independent(utterances, _speaker_folds(utterances)[fold], fold, seed)


def _speaker_folds(utterances: Sequence[Utterance]) -> Sequence[Sequence[int | str]]:
    """Test actors of each fold."""
    speakers = sorted({u.actor for u in utterances if u.is_custom})
    if not speakers:
        return SPEAKER_FOLDS
    if len(speakers) < len(SPEAKER_FOLDS):
        raise CorpusError(
            f"{len(speakers)} speakers are too few for {len(SPEAKER_FOLDS)} speaker-independent folds: "
            f"{', '.join(map(str, speakers))}; record more, or train on all, without a test, by --protocol all",
            code="corpus-too-small",
        )
    return [speakers[fold :: len(SPEAKER_FOLDS)] for fold in range(len(SPEAKER_FOLDS))]


def speaker_groups(utterances: Sequence[Utterance]) -> list[str]:
    """A name for each utterance's group: those of one group are in the same part of every split by speaker."""
    customs = [u for u in utterances if u.is_custom]
    folds = _speaker_folds(customs) if len({u.speaker for u in customs}) >= len(SPEAKER_FOLDS) else SPEAKER_FOLDS
    fold_of = {actor: fold for fold, actors in enumerate(folds) for actor in actors}
    return [f"{u.corpus}/{fold_of.get(u.actor, '')}" for u in utterances]


def _inner(utterances: Sequence[Utterance], fold: int, seed: int) -> Split:
    return _speaker_independent(
        utterances, SPEAKER_FOLDS[fold] + SPEAKER_FOLDS[(fold + 1) % len(SPEAKER_FOLDS)], fold, seed
    )


def _all(utterances: Sequence[Utterance], fold: int, seed: int) -> Split:
    speech, extra = _split_and_extra(utterances)
    actors = _drawn({u.actor for u in speech}, _VALIDATION_ACTORS, [seed])
    part = _of(speech, actors)
    return Split(tuple(speech), part, part, tuple(extra))


def _speaker_independent(utterances: Sequence[Utterance], tested: Sequence[int | str], fold: int, seed: int) -> Split:
    """Test actors, validation actors, and all others: no voice is in two parts."""
    speech, extra = _split_and_extra(utterances)
    rest = {u.actor for u in speech}.difference(tested)
    if len(rest) < 2:
        raise CorpusError(
            f"fold {fold} needs at least two actors besides {tested}; found {sorted(rest)}", code="corpus-too-small"
        )
    validation = _drawn(rest, min(_VALIDATION_ACTORS, len(rest) // 2), [seed, fold])
    trained = {u.actor for u in utterances} - set(tested)  # with 0, which is every speaker of other corpora
    return Split(_of(speech, trained - validation), _of(speech, validation), _of(speech, tested), _of(extra, trained))


def _split_and_extra(utterances: Sequence[Utterance]) -> tuple[list[Utterance], list[Utterance]]:
    """(RAVDESS speech or a custom corpus, extra corpora), every recording once."""
    recordings = unique(utterances)
    return [u for u in recordings if u.corpus in _SPLIT_CORPORA], [
        u for u in recordings if u.corpus not in _SPLIT_CORPORA
    ]


def _of(utterances: Sequence[Utterance], actors: Collection[int | str]) -> tuple[Utterance, ...]:
    return tuple(u for u in utterances if u.actor in actors)


def _drawn(actors: Collection[int | str], count: int, seed: Sequence[int]) -> set[int | str]:
    """A random `count` of them, or all if they are fewer."""
    draw = np.random.default_rng(seed).choice(sorted(actors), min(count, len(actors)), replace=False)
    return set(draw.tolist())


def _stratified(items: Sequence[Utterance], ratio: float, seed: int) -> tuple[list[Utterance], list[Utterance]]:
    """(the rest, the part of this ratio), stratified by emotion; reproducible by seed."""
    try:
        emotions = [EMOTIONS.index(u.emotion) for u in items]
        rest, part = train_test_split(items, test_size=ratio, stratify=emotions, random_state=seed)
    except ValueError as e:
        message = f"{len(items)} utterances are too few to split by emotion ({e})"
        raise CorpusError(message, code="corpus-too-small") from e
    return rest, part


PROTOCOLS = {
    "notebook": Protocol(1, _notebook),
    "utterance": Protocol(1, _utterance),
    "speaker": Protocol(len(SPEAKER_FOLDS), _speaker, custom=True),
    "inner": Protocol(len(SPEAKER_FOLDS), _inner),
    "all": Protocol(1, _all, custom=True),
}
