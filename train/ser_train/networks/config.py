"""How a network is trained, as plain settings: part of what makes one training this one and no other."""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from ser_edge.errors import SerEdgeError
from ser_edge.features.config import FeatureConfig

__all__ = ["Augmented", "EarlyStopped", "Recipe", "changed", "fingerprint"]


@dataclass(frozen=True)
class EarlyStopped:
    """The notebook's: Adam on fixed features, until the validation accuracy stops rising."""

    learning_rate: float = 5e-4
    batch_size: int = 32
    epochs: int = 30
    patience: int = 5  # epochs without a higher validation accuracy, before the best weights are taken

    def __post_init__(self) -> None:
        _require(
            {
                "learning_rate must be above 0": 0 < self.learning_rate < math.inf,
                "batch_size, epochs and patience must be 1 or more": min(self.batch_size, self.epochs, self.patience)
                >= 1,
            }
        )

    @property
    def sizes(self) -> dict[str, Any]:
        """What the network's builder is told."""
        return {}


@dataclass(frozen=True)
class Augmented:
    """For voices never heard: every epoch hears other versions of each utterance; all training voices train.

    A fixed number of epochs, and at their end the weights' moving average: nothing is held out to stop the training.
    """

    epochs: int = 210
    restart: int = 150  # epochs after which the learning rate starts anew, from the weights' moving average
    batch_size: int = 16
    learning_rate: float = 1.5e-3  # of AdamW, reached after `warm_up`, then down to 0 along a cosine
    warm_up: int = 2  # epochs
    weight_decay: float = 2e-2  # of matrices
    clip: float = 2.0  # of the gradient's norm
    average: float = 0.99  # of the weights' moving average, a step
    label_smoothing: float = 0.1
    taught: float = 0.7  # weight of the teachers' opinion against the label, where there are teachers
    mixup: float = 0.0  # alpha of the beta distribution; 0 mixes nothing
    speed: float = 0.8  # share of utterances played up to a tenth faster or slower, which also shifts their pitch
    stretch: float = 0.15  # time alone, e^U(-x, x)
    warp: float = 0.1  # frequency alone (vocal-tract length), e^U(-x, x)
    warped: float = 0.7  # share of utterances
    crop: float = 0.5  # share of utterances cut to a window of 1 s or more, anywhere in them
    frames: int = 224  # longest input in training
    noise: float = 0.4  # share of utterances with noise, half of it the babble of others
    noise_db: tuple[float, float] = (3.0, 35.0)  # signal-to-noise ratio
    reverberation: float = 0.15  # share of utterances in a room
    channel: float = 0.3  # share through another microphone, a telephone or a codec
    bands_masked: int = 10  # at most
    frames_masked: int = 25  # at most, and no more than a fifth
    balance: float = 1.0  # share of the labels' frequencies that is taken out of the finished network's answers
    others: float = 1.0  # utterances of other corpora for each of RAVDESS speech, in an epoch
    channels: tuple[int, ...] = (24, 48, 96)  # of the convolutions
    dense: int = 128  # between them and the recurrent layer
    units: int = 80  # of the recurrent layer, each way
    dropout: float = 0.25

    def __post_init__(self) -> None:
        counts = ("epochs", "restart", "batch_size", "frames", "dense", "units")
        shares = (
            "label_smoothing",
            "taught",
            "speed",
            "warped",
            "crop",
            "noise",
            "reverberation",
            "channel",
            "balance",
        )
        others = ("warm_up", "weight_decay", "mixup", "stretch", "warp", "bands_masked", "frames_masked", "others")
        _require(
            {
                f"{', '.join(counts)} and channels must be 1 or more": min(*self._of(counts), *self.channels) >= 1,
                "learning_rate and clip must be above 0": all(
                    0 < v < math.inf for v in (self.learning_rate, self.clip)
                ),
                f"{', '.join(shares)} must be 0 to 1": all(0 <= v <= 1 for v in self._of(shares)),
                "average and dropout must be 0 or more, and below 1": all(
                    0 <= v < 1 for v in (self.average, self.dropout)
                ),
                f"{', '.join(others)} must be 0 or more": all(0 <= v < math.inf for v in self._of(others)),
                "noise_db must be two values, the lower one first": (
                    len(self.noise_db) == 2 and -math.inf < self.noise_db[0] <= self.noise_db[1] < math.inf
                ),
            }
        )

    def cycle(self, epoch: int) -> int:
        """Epochs in which the learning rate rises and falls once, this one among them.

        >>> Augmented(epochs=210, restart=150).cycle(150)
        60
        """
        return self.epochs - self.restart if epoch >= self.restart else min(self.restart, self.epochs)

    def _of(self, names: Iterable[str]) -> list[float]:
        return [getattr(self, name) for name in names]

    @property
    def sizes(self) -> dict[str, Any]:
        """What the network's builder is told."""
        return {name: getattr(self, name) for name in ("channels", "dense", "units", "dropout")}


Recipe = EarlyStopped | Augmented


def _require(rules: dict[str, bool]) -> None:
    if broken := [rule for rule, holds in rules.items() if not holds]:
        raise ValueError("; ".join(broken))


def changed(recipe: Recipe, changes: Iterable[str]) -> Recipe:
    """The recipe with some settings changed.

    Args:
        recipe: left as it is.
        changes: like "epochs=60" or "noise_db=0,30".

    Raises:
        SerEdgeError: a setting that this recipe doesn't have, or a value that isn't one of it.

    >>> changed(EarlyStopped(), ["epochs=3"]).epochs
    3
    """
    known = {field.name: getattr(recipe, field.name) for field in fields(recipe)}
    new: dict[str, object] = {}
    changes = list(changes)
    for change in changes:
        name, _, text = change.partition("=")
        if name not in known:
            raise SerEdgeError(f"--set {change}: {name} is none of this network's settings: {', '.join(known)}")
        old = known[name]
        try:
            if isinstance(old, tuple):
                new[name] = tuple(type(old[0])(part) for part in text.split(","))
            else:
                new[name] = type(old)(text)
        except ValueError as e:
            raise SerEdgeError(f"--set {change}: {name} is something like {old}") from e
    try:
        return replace(recipe, **new)
    except ValueError as e:
        raise SerEdgeError(f"--set {' '.join(changes)}: {e}") from e


def fingerprint(features: FeatureConfig, recipe: Recipe) -> str:
    """Of all the settings of a training: a run that was made with others is another run."""
    return hashlib.blake2b(f"{features} {recipe}".encode(), digest_size=8).hexdigest()
