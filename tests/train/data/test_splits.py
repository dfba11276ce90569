"""What each protocol promises of who trains, who stops the training and who is tested."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path

import pytest

from ser_train.data.corpus_loader import EMOTIONS, CorpusError, Utterance
from ser_train.data.splits import PROTOCOLS, SPEAKER_FOLDS, Split
from tests import messages


def ravdess(actors: Sequence[int] = range(1, 25), corpus: str = "ravdess") -> list[Utterance]:
    """The 60 utterances of each actor in speech, the 44 in song: neutral has no strong intensity."""
    return [
        Utterance(
            Path(f"{actor}"),
            corpus,
            emotion,
            f"ravdess/{actor:02}",
            "female" if actor % 2 == 0 else "male",
            intensity,
            f"{statement:02}",
            f"{corpus} {actor} {emotion} {intensity} {statement} {repetition}",
        )
        for actor, emotion, intensity, statement, repetition in product(
            actors, EMOTIONS[:6] if corpus == "ravdess_song" else EMOTIONS, ("normal", "strong"), (1, 2), (1, 2)
        )
        if (emotion, intensity) != ("neutral", "strong")
    ]


def nemo() -> list[Utterance]:
    """One utterance of each of two speakers."""
    return [Utterance(Path(s), "nemo", "sad", f"nemo/{s}", "female", "", "1", s) for s in ("EB0", "IC0")]


def everything() -> list[Utterance]:
    """Corpora in no order that helps."""
    return [*nemo(), *ravdess(corpus="ravdess_song"), *ravdess()]


def split(protocol: str, utterances: Sequence[Utterance], fold: int = 0, seed: int = 0) -> Split:
    return PROTOCOLS[protocol].split(utterances, fold, seed)


def recordings(part: Sequence[Utterance]) -> set[str]:
    return {u.digest for u in part}


def parts(of: Split) -> tuple[tuple[Utterance, ...], ...]:
    return of.train, of.validation, of.test


@pytest.mark.parametrize("copies", [1, 2])
def test_the_notebook_has_every_recording_twice_however_often_it_is_there(copies: int) -> None:
    made = split("notebook", ravdess() * copies)
    assert set(Counter(u.digest for u in (*made.train, *made.test)).values()) == {2}
    assert (len(made.train), len(made.test)) == (2304, 576)


def test_the_notebook_stops_its_training_on_the_test_set_and_most_of_that_is_in_train() -> None:
    made = split("notebook", ravdess())
    assert made.validation == made.test
    known = recordings(made.test) & recordings(made.train)
    assert len(known) > 0.8 * len(recordings(made.test))  # memory is what this protocol measures


def test_utterance_has_every_recording_in_one_part() -> None:
    made = split("utterance", ravdess() * 2)
    assert all(not recordings(a) & recordings(b) for a, b in combinations(parts(made), 2))
    assert [len(part) for part in parts(made)] == [1036, 116, 288]
    assert len(set().union(*map(recordings, parts(made)))) == 1440


@pytest.mark.parametrize("protocol", ["notebook", "utterance"])
def test_a_random_test_set_has_each_emotion_in_its_proportion(protocol: str) -> None:
    made = split(protocol, ravdess())
    share = {emotion: 4 / 60 if emotion == "neutral" else 8 / 60 for emotion in EMOTIONS}
    counts = Counter(u.emotion for u in made.test)
    assert all(abs(counts[e] / len(made.test) - share[e]) < 0.005 for e in EMOTIONS)


@pytest.mark.parametrize("fold", range(5))
def test_speaker_tests_exactly_the_actors_of_the_fold_and_no_actor_is_in_two_parts(fold: int) -> None:
    train, validation, test = ({u.actor for u in part} for part in parts(split("speaker", ravdess() * 2, fold)))
    assert test == set(SPEAKER_FOLDS[fold])
    assert len(validation) == 3
    assert not train & validation
    assert train | validation == set(range(1, 25)) - test


def test_speaker_tests_every_recording_once_over_the_folds() -> None:
    tested = Counter(u.digest for fold in range(5) for u in split("speaker", ravdess(), fold).test)
    assert sorted(actor for fold in SPEAKER_FOLDS for actor in fold) == list(range(1, 25))
    assert len(tested) == 1440
    assert set(tested.values()) == {1}


@pytest.mark.parametrize("fold", range(5))
def test_inner_tests_two_outer_folds_and_trains_on_none_of_their_actors(fold: int) -> None:
    train, validation, test = ({u.actor for u in part} for part in parts(split("inner", ravdess() * 2, fold)))
    assert test == {*SPEAKER_FOLDS[fold], *SPEAKER_FOLDS[(fold + 1) % 5]}
    assert len(validation) == 3
    assert not train & validation
    assert train | validation == set(range(1, 25)) - test


def test_all_trains_on_everybody_and_shows_three_of_them() -> None:
    made = split("all", everything() * 2)
    assert sorted(u.digest for u in made.train) == sorted(recordings(ravdess()))
    assert recordings(made.extra) == recordings(everything()) - recordings(made.train)
    assert made.test == made.validation
    assert len({u.actor for u in made.test}) == 3
    assert len(made.test) == 3 * 60


@pytest.mark.parametrize("protocol", ["speaker", "inner"])
@pytest.mark.parametrize("fold", range(5))
def test_who_is_not_heard_speaking_is_not_heard_singing(protocol: str, fold: int) -> None:
    made = split(protocol, everything() * 2, fold)
    tested, stoppers = ({u.speaker for u in part} for part in (made.test, made.validation))
    assert not tested & {u.speaker for u in (*made.train, *made.validation, *made.extra)}
    assert not stoppers & {u.speaker for u in made.train}
    song = [u for u in ravdess(corpus="ravdess_song") if u.speaker not in tested]
    assert recordings(made.extra) == recordings(nemo()) | recordings(song)
    assert len(made.extra) == len(recordings(made.extra))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_other_corpora_change_nothing_of_the_figure(protocol: str) -> None:
    assert parts(split(protocol, everything())) == parts(split(protocol, ravdess()))


@pytest.mark.parametrize("protocol", ["notebook", "utterance"])
def test_other_corpora_train_only_where_voices_are_kept_apart(protocol: str) -> None:
    assert split(protocol, everything()).extra == ()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_split_is_repeatable_by_its_seed_and_another_by_another(protocol: str) -> None:
    utterances = ravdess()
    assert split(protocol, utterances, seed=3) == split(protocol, utterances, seed=3)
    assert split(protocol, utterances, seed=3) != split(protocol, utterances, seed=4)


@pytest.mark.parametrize(
    ("protocol", "actors"),
    [
        ("utterance", (1,)),
        ("speaker", (2, 5, 1)),
        ("speaker", (1, 3)),
        ("inner", (2, 3, 1)),
    ],
)
def test_a_corpus_too_small_is_refused(protocol: str, actors: tuple[int, ...]) -> None:
    with messages.raises(CorpusError, "corpus-too-small"):
        split(protocol, ravdess(actors))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("utterances", [nemo(), ravdess(corpus="ravdess_song"), []], ids=["nemo", "song", "none"])
def test_without_what_is_split_every_protocol_says_what_is_missing(
    protocol: str, utterances: Sequence[Utterance]
) -> None:
    with messages.raises(CorpusError, "corpus-not-found") as caught:
        split(protocol, utterances)
    assert "RAVDESS speech" in str(caught.value)
