"""Model selection by `inner` alone: for a fold, only networks that weren't trained on it, and only other speakers."""

from pathlib import Path

import numpy as np
import pytest

from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import ModelMetadata
from ser_train.cli.app import main
from ser_train.data.corpus_loader import EMOTIONS, CorpusError
from ser_train.data.splits import SPEAKER_FOLDS
from ser_train.evaluation.model_selection import fold_scores, unseen_answers
from ser_train.reporting.tables import selection_table
from ser_train.runs.run_directory import Answers, RunDirectory
from ser_train.runs.settings import Settings
from tests import messages


def make_run(folder: Path, settings: Settings, right: bool = True) -> RunDirectory:
    """A finished run of `inner`: every emotion of the actors of both folds, right or wrong on those of its own fold."""
    run = RunDirectory(folder / settings.name)
    run.path.mkdir()
    own = SPEAKER_FOLDS[settings.fold]
    actors = np.repeat([*own, *SPEAKER_FOLDS[(settings.fold + 1) % 5]], 8)
    labels = np.tile(np.arange(8), len(actors) // 8)
    guesses = np.where(np.isin(actors, own) & (not right), (labels + 1) % 8, labels)
    names = np.array([f"{place}" for place in range(len(labels))])
    features = np.zeros((len(labels), 2, 3), np.float32)
    answers = np.eye(8, dtype=np.float32)[guesses]
    run.write_answers(Answers(features, labels, names, actors, answers, np.ones(len(labels), bool)))
    run.write("description.json", ModelMetadata(settings.network, EMOTIONS, FeatureConfig()).to_json())
    run.write("run.json", {"settings": vars(settings)})
    return run


def test_the_actors_of_a_fold_never_select_its_settings(tmp_path: Path) -> None:
    inner = {fold: make_run(tmp_path, Settings("crnn", "inner", fold)) for fold in range(5)}
    for fold in range(5):
        after, before = unseen_answers(inner, fold)
        assert set(after.actors) == set(SPEAKER_FOLDS[(fold + 1) % 5])
        assert set(before.actors) == set(SPEAKER_FOLDS[(fold - 1) % 5])


def test_the_table_has_a_uar_where_both_runs_are_there(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, Settings("crnn", "inner", fold), right=fold != 1) for fold in (0, 1, 2)]
    changed = make_run(tmp_path, Settings("crnn", "inner", 0, changes=("mixup=0.2",)))
    other = make_run(tmp_path, Settings("crnn", "speaker", 0))
    lines = selection_table(fold_scores([*runs, changed, other])).splitlines()
    assert lines[2] == "| crnn | 1 |  | 100.0 | 50.0 |  |  |  |"  # for fold 2: run 1 is wrong about fold 1's actors
    assert lines[3] == "| crnn, mixup=0.2 | 1 |  |  |  |  |  |  |"
    assert len(lines) == 4


def test_without_runs_of_inner_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, Settings("crnn", "speaker", 0))
    with messages.raises(CorpusError, "runs-incomplete"):
        fold_scores([run])
    inner = make_run(tmp_path, Settings("crnn", "inner", 0))
    command = [str(inner.path), str(tmp_path / "nothing"), "--markdown", str(tmp_path / "table.md")]
    assert main(["select", *command]) == 0
    table = capsys.readouterr().out
    assert (tmp_path / "table.md").read_text() == table
    assert main(["choose", *command]) == 0  # the name of 0.1
    assert capsys.readouterr().out == table
