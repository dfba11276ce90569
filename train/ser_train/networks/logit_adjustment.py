"""Takes the frequencies of the labels out of what a network answers.

A network learns how likely each label is in its training set as well. RAVDESS has half as many neutral utterances as of
every other emotion, so a voice would be called neutral too seldom: life isn't short of neutral voices. So every label
is made as likely as the others beforehand: the logarithm of its frequency is taken off its logit, once, after the
training (Menon et al., 2021, arXiv:2007.07314: post-hoc logit adjustment).

A network that another one begins as, or learns from, is taken for balanced: the frequencies of the new training set are
put back into it before, or they would be taken out twice.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["adjust", "logit_adjustment"]


def logit_adjustment(labels: npt.NDArray[np.int64], count: int, share: float) -> npt.NDArray[np.float32]:
    """What is added to the logits.

    Args:
        labels: (n,) places of the labels, of the training set.
        count: of labels there are; one that nobody says is left as it is.
        share: 1 takes the frequencies out, 0 leaves them in.

    Returns:
        (count,)

    >>> logit_adjustment(np.array([0, 1, 1]), 2, 1.0).round(3)
    array([ 0.405, -0.288], dtype=float32)
    """
    said = np.bincount(labels, minlength=count)
    frequencies = np.where(said > 0, said / said[said > 0].mean(), 1.0)
    return (-share * np.log(frequencies)).astype(np.float32)


def adjust(model: Any, adjustment: npt.NDArray[np.float32]) -> None:
    """Adds it to the bias of a Keras model's last layer, a dense one with a softmax."""
    bias = model.layers[-1].bias
    bias.assign(bias + adjustment)
