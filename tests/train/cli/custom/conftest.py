"""Custom recordings of three labels and five speakers, and a network trained on them."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ser_train.data.corpus_loader import Utterance, read_corpus
from ser_train.runs.run_directory import RunDirectory
from ser_train.training.loop import fit
from tests.conftest import make_recordings
from tests.train.cli.custom.custom_runs import LABELS, OWN


@pytest.fixture(scope="package")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_recordings(tmp_path_factory.mktemp("own") / "recordings", LABELS, files=2)


@pytest.fixture(scope="package")
def utterances(recordings: Path) -> list[Utterance]:
    return read_corpus(recordings, jobs=1)


@pytest.fixture(scope="package")
def run(utterances: Sequence[Utterance], tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A network of one's own labels."""
    return fit(OWN, utterances, tmp_path_factory.mktemp("runs"), jobs=1, bar=False)
