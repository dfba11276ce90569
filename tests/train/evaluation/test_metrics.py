"""Metrics against examples worked out by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

import ser_train.evaluation.metrics
from ser_train.evaluation.metrics import METRICS, Scores, pooled, score
from ser_train.runs.run_directory import Answers


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ser_train.evaluation.metrics, "BOOTSTRAP_DRAWS", 60)


def probabilities(guesses: Sequence[int], confidence: float = 1.0, labels: int = 8) -> np.ndarray:
    """Rows that guess so, with the rest of the probability shared by the others."""
    rows = np.full((len(guesses), labels), (1 - confidence) / (labels - 1), np.float32)
    rows[np.arange(len(guesses)), guesses] = confidence
    return rows


def answers(labels: Sequence[int], guesses: Sequence[int], actors: Sequence[int]) -> Answers:
    n = len(labels)
    return Answers(
        np.zeros((n, 1, 1), np.float32),
        np.array(labels),
        np.array([f"{place}" for place in range(n)]),
        np.array(actors),
        probabilities(guesses),
        np.ones(n, bool),
    )


def test_accuracy_counts_utterances_and_recall_counts_emotions_alike() -> None:
    # Emotion 0: 2 of 4 found; emotion 1: 1 of 1. Precisions: 2 of 2, and 1 of 3.
    found = score(np.array([0, 0, 0, 0, 1]), probabilities([0, 0, 1, 1, 1]))
    assert found.wa == pytest.approx(60)
    assert found.uar == pytest.approx(100 * (2 / 4 + 1) / 2)
    assert found.f1 == pytest.approx(100 * (2 / 3 + 1 / 2) / 2)


def test_an_emotion_that_nobody_spoke_does_not_count_but_guessing_it_is_wrong() -> None:
    # Emotion 5 is guessed once and never spoken: it has no recall, and takes one from emotion 1.
    found = score(np.array([0, 0, 1, 1]), probabilities([0, 0, 1, 5]))
    assert found.wa == pytest.approx(75)
    assert found.uar == pytest.approx(75)
    assert found.f1 == pytest.approx(100 * (1 + 2 / 3) / 2)


def test_all_right_and_sure_is_perfect() -> None:
    assert score(np.arange(8), probabilities(range(8))) == Scores(100.0, 100.0, 100.0, 0.0)


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy_weighted_by_bins() -> None:
    # Bins of 1/15. Four answers at 0.9, three right: gap |0.9 - 0.75|. One at 0.5, wrong: gap 0.5.
    rows = np.concatenate([probabilities([0, 0, 0, 1], 0.9), probabilities([1], 0.5)])
    assert score(np.zeros(5, int), rows).ece == pytest.approx((4 * 0.15 + 0.5) / 5, abs=1e-6)


def test_gaps_of_one_bin_cancel_and_gaps_of_two_do_not() -> None:
    in_one = np.concatenate([probabilities([0], 0.81), probabilities([1], 0.82)])  # both in 12/15..13/15
    assert score(np.zeros(2, int), in_one).ece == pytest.approx(abs(0.81 + 0.82 - 1) / 2, abs=1e-6)
    in_two = np.concatenate([probabilities([0], 0.7), probabilities([1], 0.9)])
    assert score(np.zeros(2, int), in_two).ece == pytest.approx((0.3 + 0.9) / 2, abs=1e-6)


def test_folds_are_pooled_and_not_averaged() -> None:
    large = answers([0] * 8, [0] * 8, actors=[1, 2] * 4)  # 8 of 8
    small = answers([0] * 2, [1] * 2, actors=[3, 4])  # 0 of 2
    assert pooled([[large, small]])["wa"].mean == 80  # the mean of the folds would be 50


def test_one_seed_has_no_deviation_and_its_interval_holds_the_mean() -> None:
    random = np.random.default_rng(0)
    labels, actors = random.integers(0, 8, 200), random.integers(1, 25, 200)
    guesses = np.where(random.random(200) < 0.6, labels, random.integers(0, 8, 200))
    figures = pooled([[answers(labels, guesses, actors)]])
    assert set(figures) == set(METRICS)
    for figure in (figures["wa"], figures["uar"], figures["f1"]):
        assert figure.std == 0
        assert 0 < figure.low < figure.mean < figure.high < 100


def test_seeds_give_a_mean_and_a_deviation() -> None:
    better = answers([0, 1, 0, 1], [0, 1, 0, 1], actors=[1, 1, 2, 2])
    worse = answers([0, 1, 0, 1], [0, 1, 1, 0], actors=[1, 1, 2, 2])
    figure = pooled([[better], [worse]])["wa"]
    assert (figure.mean, figure.std) == (75, 25)


def test_the_interval_is_that_of_actors_and_repeatable() -> None:
    labels, actors = [0, 1] * 50, [1] * 50 + [2] * 50
    one_actor_fails = answers(labels, [0, 1] * 25 + [1, 0] * 25, actors)
    figure = pooled([[one_actor_fails]])["wa"]
    assert (figure.low, figure.high) == (0, 100)  # with two actors, a draw may be either twice
    assert pooled([[one_actor_fails]]) == pooled([[one_actor_fails]])
