"""The experiment behind the learning curve: who is left out, what is drawn, and what is kept."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ser_train.data.corpus_loader import read_corpus
from ser_train.data.splits import SPEAKER_FOLDS
from ser_train.data.utterance import Utterance
from train.own_data import measure
from train.own_data.measure import Parts, drawn, parts, write_table


@pytest.fixture(scope="module")
def utterances(corpus: Path) -> list[Utterance]:
    """Of 24 actors, who say each emotion twice; the second time it is the second sentence's second repetition."""

    def renamed(u: Utterance) -> Utterance:
        first = u.path.stem.split("-")[5] == "01"
        return u if first else replace(u, path=u.path.with_name(u.path.name.replace("-01-02-", "-02-02-")))

    return [renamed(u) for u in read_corpus(corpus, jobs=1)]


@pytest.fixture(scope="module")
def split(utterances: Sequence[Utterance]) -> Parts:
    return parts(utterances, 1)


def test_no_recording_is_trained_on_and_tested_and_others_speakers_are_a_fold(
    split: Parts, utterances: Sequence[Utterance]
) -> None:
    assert len(split.pool) + len(split.same_speakers) + len(split.other_speakers) == len(utterances)
    digests = [{u.digest for u in part} for part in (split.pool, split.same_speakers, split.other_speakers)]
    assert not digests[0] & digests[1]
    assert not digests[0] & digests[2]
    assert {u.actor for u in split.other_speakers} == set(SPEAKER_FOLDS[1])
    assert {u.actor for u in split.pool} == {u.actor for u in split.same_speakers}
    assert {u.path.stem[-8:-3] for u in split.same_speakers} == {"02-02"}


def test_recordings_are_dealt_to_labels_and_speakers_and_fewer_are_among_more(split: Parts) -> None:
    pool = split.pool + [replace(u, digest=f"{u.digest} again") for u in split.pool]  # two of each label and speaker
    before: set[str] = set()
    for count in (1, 5, 19, 30):
        chosen = drawn(pool, count, repeat=0)
        assert Counter(u.emotion for u in chosen) == dict.fromkeys({u.emotion for u in pool}, count)
        per_speaker = Counter((u.emotion, u.speaker) for u in chosen)
        assert set(per_speaker.values()) <= ({1} if count <= 19 else {1, 2})
        digests = {u.digest for u in chosen}
        assert before < digests
        before = digests
    assert len(drawn(pool, 1000, repeat=0)) == len(pool)
    assert drawn(pool, 5, 0) == drawn(pool, 5, 0) != drawn(pool, 5, 1)


def test_the_table_is_what_a_training_reads(split: Parts, tmp_path: Path) -> None:
    chosen = drawn(split.pool, 5, 0)
    write_table(chosen, tmp_path / "recordings.csv")
    read = read_corpus(tmp_path / "recordings.csv", jobs=1)
    assert Counter((u.emotion, u.digest) for u in read) == Counter((u.emotion, u.digest) for u in chosen)
    assert {u.actor for u in read} == {f"actor {u.actor}" for u in chosen}


def test_what_was_measured_is_not_measured_again(
    utterances: Sequence[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings: list[int] = []

    def train(network: str, table: Path, recordings: int, repeat: int) -> tuple[Path, float]:
        trainings.append(recordings)
        return table, 60.04

    monkeypatch.setattr(measure, "train", train)
    monkeypatch.setattr(measure, "uar", lambda run, tested: float(len(tested)))
    results = [measure.measure("crnn", 5, 1, utterances, tmp_path) for _ in range(2)]
    assert trainings == [40]
    assert results[0] == results[1]
    assert (results[0].recordings, results[0].cpu_seconds) == (40, 60.0)
    assert (results[0].same_speakers, results[0].other_speakers) == (19 * 8, 5 * 16)
