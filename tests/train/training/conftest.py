"""A made corpus of six actors, with other corpora beside it, and one augmented training from beginning to end."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ser_train.data.corpus_loader import read_corpus
from ser_train.data.utterance import Utterance
from tests.conftest import make_corpus
from tests.train.training.trainings import CRNN, Trained, train


@pytest.fixture(scope="session")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    return read_corpus(make_corpus(tmp_path_factory.mktemp("six") / "actors", range(1, 7)), jobs=1)


@pytest.fixture(scope="session")
def everything(utterances: Sequence[Utterance], others: Path) -> list[Utterance]:
    return [*read_corpus(others, jobs=1), *utterances]


@pytest.fixture(scope="session")
def augmented(everything: Sequence[Utterance], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(CRNN, everything, tmp_path_factory.mktemp("augmented"))
