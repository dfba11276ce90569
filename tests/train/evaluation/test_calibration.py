"""A known temperature is found again, and so many answers are given as the threshold promises."""

import numpy as np
import pytest

from ser_edge.models.network import apply_temperature
from ser_train.evaluation.calibration import calibrate


def drawn(temperature: float, n: int = 20_000, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and the answers of a network that is too sure by this temperature."""
    random = np.random.default_rng(0)
    logits = spread * random.standard_normal((n, 8))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (true.cumsum(axis=1) > random.random((n, 1))).argmax(axis=1)
    return labels, apply_temperature(true.astype(np.float32), 1 / temperature)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.13, 3.0])
def test_a_known_temperature_is_found_again(temperature: float) -> None:
    labels, probabilities = drawn(temperature)
    assert calibrate(labels, probabilities).temperature == pytest.approx(temperature, rel=0.05)


def test_the_temperature_is_the_one_of_least_loss() -> None:
    labels, probabilities = drawn(1.7, n=500)

    def loss(temperature: float) -> float:
        return -np.log(apply_temperature(probabilities, temperature)[np.arange(len(labels)), labels]).mean()

    found = calibrate(labels, probabilities).temperature
    assert all(loss(found) <= loss(found * factor) for factor in (0.97, 1.03, 0.5, 2.0))


def test_the_threshold_answers_seven_of_eight() -> None:
    labels, probabilities = drawn(1.5)
    found = calibrate(labels, probabilities)
    sure = apply_temperature(probabilities, found.temperature).max(axis=1) >= found.threshold
    right = probabilities.argmax(axis=1) == labels
    assert sure.mean() == pytest.approx(0.87, abs=0.005)
    assert right[sure].mean() > right.mean()


@pytest.mark.parametrize("right", [True, False])
def test_a_network_that_is_always_quite_sure_gets_what_a_description_can_hold(right: bool) -> None:
    labels = np.arange(8)
    probabilities = np.eye(8, dtype=np.float32)[labels if right else (labels + 1) % 8]
    found = calibrate(labels, probabilities)
    assert 0.01 <= found.temperature <= 100
    assert 0 <= found.threshold < 1
