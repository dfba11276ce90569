"""Statistics of runs: groups, thresholds, misclassified recordings; damaged and mismatched runs are refused."""

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser_edge.errors import SerEdgeError
from ser_train.data.corpus_loader import CorpusError
from ser_train.reporting.misclassified import mistakes
from ser_train.reporting.statistics import gather
from ser_train.runs.run_directory import RunDirectory
from ser_train.runs.settings import Settings
from tests import messages
from tests.train.reporting.fake_runs import add_the_rest, make_run


def test_misclassified_recordings_are_listed_the_most_confident_first(tmp_path: Path) -> None:
    found = gather([make_run(tmp_path, Settings("gru", "speaker", 0, seed), wrong=3 + 2 * seed) for seed in (0, 1)])
    listed = mistakes(found.answers, found.labels)
    assert [(m.label, m.predicted, m.wrong, m.answers) for m in listed] == [
        *[("neutral", "calm", 2, 2)], *[("calm", "happy", 2, 2)] * 2, ("happy", "sad", 1, 2), ("happy", "sad", 1, 2)
    ]  # fmt: skip
    assert len({m.name for m in listed}) == 5
    answers = replace(found.answers[0], probabilities=found.answers[0].probabilities.copy())
    answers.probabilities[2] = np.eye(8)[5]
    first, *rest = mistakes([answers], found.labels)
    assert (first.name, first.predicted, first.confidence) == (answers.names[2], "fearful", 1.0)
    assert len(rest) == 2


def test_groups_are_compared_by_the_emotions_that_all_have(tmp_path: Path) -> None:
    summary = gather([make_run(tmp_path, Settings("gru", "speaker"), wrong=1)])  # actor 2 speaks neutral first
    assert [(g.name, g.support, round(g.uar.mean, 2)) for g in summary.sexes] == [
        ("female", 45, 95.83),  # of three women's neutral one is wrong
        ("male", 30, 100.0),
    ]
    assert [(g.name, g.support, round(g.wa.mean, 2), g.uar.mean) for g in summary.intensities] == [
        ("normal", 40, 97.5, 100.0),
        ("strong", 35, 100.0, 100.0),
    ]
    neutral = summary.emotions[0]
    assert (neutral.support, neutral.recall.mean, neutral.top_confusion, neutral.share) == (5, 80, "calm", 20)


def test_the_threshold_applies_to_calibrated_answers(tmp_path: Path) -> None:
    sure = make_run(tmp_path, Settings("gru", "speaker", 0), sure=0.9, temperature=3.0, threshold=0.4)
    unsure = make_run(tmp_path, Settings("gru", "speaker", 4), sure=0.9, wrong=15, temperature=1.0, threshold=0.4)
    summary = gather([sure, unsure])
    assert summary.is_calibrated
    assert summary.pooled_calibrated_answers.probabilities.max() == pytest.approx(0.9)  # fold 4's: temperature 1
    odds = 63 ** (1 / 3)  # of the answer against another; 0.9 to 0.1 / 7 before
    assert summary.calibrated_answers[0].probabilities[0].max() == pytest.approx(odds / (odds + 7))
    assert summary.at_threshold == pytest.approx((100 * 60 / 135, 100 * 45 / 60))
    assert replace(summary, seeds=((summary.seeds[0][0],),)).at_threshold == (0, 0)


def test_robustness_is_shown_of_the_seeds_whose_runs_were_all_measured(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, Settings("gru", "speaker", fold)) for fold in (0, 1)]
    add_the_rest(runs[0])
    assert gather(runs).robustness is None
    add_the_rest(runs[1])
    figures = gather(runs).robustness
    assert figures is not None
    assert (figures.utterances, figures.seeds) == (150, 1)
    assert (
        gather([*runs, *(make_run(tmp_path, Settings("gru", "speaker", fold, 1)) for fold in (0, 1))]).robustness
        == figures
    )
    assert gather(runs).counts == "folds 0, 1 of 5, 1 seed"
    add = runs[1].read("conditions.json")
    add["conditions"][0]["name"] = "under water"
    runs[1].write("conditions.json", add)
    with messages.raises(CorpusError, "run-outdated"):
        gather(runs)


def lose_an_array(run: RunDirectory) -> None:
    with zipfile.ZipFile(run.path / "answers.npz", "w"):
        pass


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda run: (run.path / "run.json").unlink(), "run-not-found"),
        (lambda run: run.write("run.json", "{"), "run-damaged"),
        (lambda run: run.write("run.json", {}), "run-damaged"),
        (lambda run: (run.path / "description.json").unlink(), "run-damaged"),
        (lambda run: run.write("description.json", "{}"), "model-metadata"),
        (lambda run: (run.path / "answers.npz").write_bytes(b""), "run-damaged"),
        (lambda run: (run.path / "answers.npz").write_bytes(b"version https://git-lfs.x"), "run-damaged"),
        (lose_an_array, "run-damaged"),
        (lambda run: run.write("conditions.json", {}), "run-damaged"),
    ],
)
def test_a_damaged_run_is_one_clear_error(damage: Any, code: str, tmp_path: Path) -> None:
    run = make_run(tmp_path, Settings("gru", "speaker"))
    damage(run)
    with messages.raises(SerEdgeError, code) as error:
        gather([run])
    assert str(error.value).startswith(str(run.path))
    assert "\n" not in str(error.value)


def test_runs_that_are_not_one_figure_are_refused(tmp_path: Path) -> None:
    gru = make_run(tmp_path, Settings("gru", "speaker"))
    with messages.raises(SerEdgeError, "runs-mismatched"):
        gather([gru, make_run(tmp_path, Settings("lstm", "speaker"))])
    with messages.raises(SerEdgeError, "runs-mismatched"):
        gather([gru, gru])
    with messages.raises(SerEdgeError, "runs-mismatched"):
        gather([gru, make_run(tmp_path, Settings("gru", "speaker", 1, 1))])
