"""Which runs make one figure; runs are written by hand here, nothing is trained."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from ser_edge.errors import SerEdgeError
from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import ModelMetadata
from ser_train.runs.grouping import check_calibration, group_runs, single_group
from ser_train.runs.run_directory import RunDirectory
from ser_train.runs.settings import Settings
from tests import messages

MakeRun = Callable[..., RunDirectory]
GRU, CRNN = Settings("gru", "speaker"), Settings("crnn", "utterance", recipe="one", teachers=("a",))


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    def make(settings: Settings, labels: tuple[str, ...] = ("calm", "happy"), **results: str) -> RunDirectory:
        run = RunDirectory(tmp_path / settings.name)
        run.write("description.json", ModelMetadata(settings.network, labels, FeatureConfig()).to_json())
        run.write("run.json", {"settings": asdict(settings), **results})
        return run

    return make


def test_runs_are_grouped_by_label_and_protocol_then_seed_and_fold(make_run: MakeRun) -> None:
    runs = {
        (fold, seed): make_run(replace(GRU, fold=fold, seed=seed, corpus=f"{fold}"))
        for fold in (1, 0)
        for seed in (7, 0)
    }
    changed = make_run(replace(GRU, changes=("epochs=3",), recipe="other"))
    groups = group_runs([changed, *runs.values()])
    assert list(groups) == [("gru, epochs=3", "speaker"), ("gru", "speaker")]
    group = single_group(list(runs.values()))
    assert group == groups["gru", "speaker"]
    assert group.runs == [runs[0, 0], runs[1, 0], runs[0, 7], runs[1, 7]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (GRU, GRU),
        (GRU, replace(GRU, seed=1, epochs=1)),
        (GRU, replace(GRU, seed=1, corpus="with another recording")),
        (CRNN, replace(CRNN, seed=1, recipe="other")),
        (CRNN, replace(CRNN, seed=1, teachers=("b",))),
        (replace(GRU, init="one"), replace(GRU, seed=1, init="other")),
    ],
)
def test_the_same_run_twice_or_other_settings_or_data_are_refused(
    one: Settings, other: Settings, make_run: MakeRun
) -> None:
    with messages.raises(SerEdgeError, "runs-mismatched"):
        group_runs([make_run(one), make_run(other)])


def test_folds_of_different_recordings_are_refused(make_run: MakeRun) -> None:
    first, second, third = (make_run(replace(GRU, fold=fold), recordings="ab"[fold // 2]) for fold in range(3))
    group_runs([first, second, make_run(replace(GRU, fold=3))])  # the last as older versions wrote it
    with messages.raises(SerEdgeError, "runs-mismatched"):
        group_runs([first, third])
    whole = make_run(replace(GRU, protocol="all"), recordings="b")
    check_calibration(group_runs([third, whole]))
    with messages.raises(SerEdgeError, "runs-mismatched"):
        check_calibration(group_runs([first, whole]))


def test_other_labels_are_refused(make_run: MakeRun) -> None:
    with messages.raises(SerEdgeError, "runs-mismatched"):
        group_runs([make_run(GRU), make_run(replace(GRU, network="rnn"), labels=("bored", "engaged"))])


def test_a_single_group_is_of_one_network_and_protocol_and_of_equal_folds(make_run: MakeRun) -> None:
    run = make_run(GRU)
    for other in (replace(GRU, network="rnn"), replace(GRU, protocol="inner"), replace(GRU, fold=1, seed=1)):
        with messages.raises(SerEdgeError, "runs-mismatched"):
            single_group([run, make_run(other)])


def test_no_run_and_missing_folds_are_incomplete(make_run: MakeRun) -> None:
    for make in (group_runs, single_group):
        with messages.raises(SerEdgeError, "runs-incomplete"):
            make([])
    group = single_group([make_run(replace(GRU, fold=fold)) for fold in (0, 2, 3)])
    with messages.raises(SerEdgeError, "runs-incomplete") as caught:
        group.require_all_folds()
    assert "[1, 4]" in str(caught.value)


@pytest.mark.parametrize("other", [replace(CRNN, protocol="all", epochs=3), replace(CRNN, protocol="all", recipe="")])
def test_a_network_of_another_recipe_calibrates_no_other(other: Settings, make_run: MakeRun) -> None:
    speaker, unrelated = (
        make_run(replace(CRNN, protocol="speaker")),
        make_run(replace(CRNN, protocol="notebook", recipe="")),
    )
    check_calibration(group_runs([speaker, unrelated]))
    with messages.raises(SerEdgeError, "runs-mismatched"):
        check_calibration(group_runs([speaker, make_run(other)]))
