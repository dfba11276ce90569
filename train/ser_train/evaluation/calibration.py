"""Confidence calibration: one temperature, and the threshold below which a prediction is `uncertain`.

Both are fitted on answers about speakers that the calibrated network isn't tested on, by networks that weren't trained
on these speakers: those of the other folds.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from ser_edge.models.network import apply_temperature

_ANSWERED = 0.87  # share of utterances that get an answer at the default threshold
_RANGE = (0.2, 5.0)  # of temperatures that are tried


@dataclass(frozen=True)
class Calibration:
    """What a model file's metadata stores."""

    temperature: float
    threshold: float  # calibrated confidence, 0..1


def calibrate(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]) -> Calibration:
    """Fits both to (n,) labels and the network's (n, labels) probabilities.

    The temperature minimises the negative log-likelihood (Guo et al., 2017); at the threshold 87 % are answered.
    """

    def loss(log_temperature: float) -> float:
        sure = apply_temperature(probabilities, float(np.exp(log_temperature)))[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(sure, 1e-12)).mean())

    temperature = round(float(np.exp(minimize_scalar(loss, bounds=np.log(_RANGE), method="bounded").x)), 3)
    confidence = apply_temperature(probabilities, temperature).max(axis=1)
    threshold = round(float(np.quantile(confidence, 1 - _ANSWERED)), 3)
    return Calibration(temperature, min(threshold, 0.999))  # at 1, even certain answers would be `uncertain`
