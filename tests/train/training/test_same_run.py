"""Trainings of one name: at the same time, one after the other, and those that can't begin."""

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from ser_edge.errors import SerEdgeError
from ser_train.data.atomic import one_at_a_time
from ser_train.data.utterance import Utterance
from ser_train.networks.keras_backend import load
from ser_train.runs.run_directory import RunDirectory
from ser_train.runs.settings import Settings
from ser_train.training.loop import check, fit
from tests.train.training.trainings import epochs_trained

pytestmark = pytest.mark.slow

SHORT = Settings("rnn", "utterance", epochs=1)


@pytest.fixture(scope="module")
def run(utterances: Sequence[Utterance], tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return fit(SHORT, utterances, tmp_path_factory.mktemp("runs"), jobs=1, bar=False)


def test_a_second_process_waits_for_the_first_and_takes_its_run(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / run.path.name
    path.mkdir()
    with ThreadPoolExecutor(1) as pool:
        with one_at_a_time(path):  # as while it trains
            second = pool.submit(fit, SHORT, utterances, tmp_path, jobs=1, bar=False)
            printed = ""
            while "another process is making" not in printed and not second.done():
                printed += capsys.readouterr().err
            shutil.copytree(run.path, path, dirs_exist_ok=True)
        assert second.result().path == path
    assert f"ser-train: another process is making {path}; waiting for it\n" in printed
    assert epochs_trained(capsys) == []
    assert {file.name for file in path.iterdir()} == {file.name for file in run.path.iterdir()}


def test_a_training_that_replaces_another_says_so_before_and_does_it_at_its_end(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(shutil.copytree(run.path, tmp_path / run.path.name))
    fit(SHORT, utterances, tmp_path, jobs=1, bar=False)
    assert capsys.readouterr().err == ""
    fit(replace(SHORT, epochs=2), utterances, tmp_path, jobs=1, bar=False)
    note, first, *_ = capsys.readouterr().err.splitlines()
    assert note == (
        f"{path}: trained with other data or settings before; this training replaces it at its end, "
        "unless you stop it and give another --out"
    )
    assert "epoch 1/2" in first


def test_what_keeps_a_training_from_starting_is_found_before_any_training(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    load()
    for settings in (replace(SHORT, teachers=("gru",)), replace(SHORT, init=f"{tmp_path}/nothing")):
        with pytest.raises(SerEdgeError, match="no finished run"):
            check(settings, utterances, tmp_path)
    assert list(tmp_path.iterdir()) == []
    check(SHORT, utterances, run.path.parent)
