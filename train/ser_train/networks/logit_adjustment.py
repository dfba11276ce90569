"""Post-hoc logit adjustment (Menon et al., 2021, arXiv:2007.07314): labels equally likely a priori.

A network also learns the label frequencies of its training set. RAVDESS has half as many neutral utterances as of each
other emotion, so neutral would be predicted too seldom. After training, the logarithm of each label's frequency is
subtracted from its logit.

Teachers and initial networks are balanced already: the new training set's frequencies are added to them beforehand, or
they would be subtracted twice.
"""

from typing import Any

import numpy as np
import numpy.typing as npt


def logit_adjustment(labels: npt.NDArray[np.int64], count: int, strength: float) -> npt.NDArray[np.float32]:
    """The adjustment that is added to the logits.

    Args:
        labels: (n,) label indices of the training set.
        count: number of labels; one without an example isn't adjusted.
        strength: 1 removes the frequencies, 0 leaves them.

    Returns:
        (count,)

    >>> logit_adjustment(np.array([0, 1, 1]), 2, 1.0).round(3)
    array([ 0.405, -0.288], dtype=float32)
    """
    counts = np.bincount(labels, minlength=count)
    frequencies = np.where(counts > 0, counts / counts[counts > 0].mean(), 1.0)
    return (-strength * np.log(frequencies)).astype(np.float32)


def adjust(model: Any, adjustment: npt.NDArray[np.float32]) -> None:
    """Adds an adjustment to the bias of each layer of a Keras model that ends in a softmax over the labels."""
    for layer in model.layers:
        if layer.get_config().get("activation") == "softmax":
            layer.bias.assign(layer.bias + adjustment)
