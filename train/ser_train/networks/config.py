"""Training recipes as plain settings: they are part of a run's identity, and `--set` changes them by name."""

import hashlib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from ser_edge.errors import SerEdgeError
from ser_edge.features.config import FeatureConfig

_CODE = "training-setting"
# Names of 0.1, for `--set` and for fingerprints: a finished run of 0.1 is not trained again.
_FORMER_NAMES = {
    "AugmentedConfig": "Augmented",
    "BaselineConfig": "EarlyStopped",
    "distillation_weight": "taught",
    "dynamic_range_db": "range_db",
    "extra_corpora_ratio": "others",
    "trim_db": "span_db",
    "trim_margin": "span_margin",
}
_NAMES = {former: name for name, former in _FORMER_NAMES.items()}


@dataclass(frozen=True)
class BaselineConfig:
    """The notebook's recipe: Adam on fixed features, stopped early by the validation accuracy."""

    learning_rate: float = 5e-4
    batch_size: int = 32
    epochs: int = 30
    patience: int = 5  # epochs without a higher validation accuracy, before the best weights are taken

    def __post_init__(self) -> None:
        _require(self, "learning_rate", "above 0", lambda value: 0 < value < math.inf)
        _require(self, "batch_size epochs patience", "1 or more", lambda value: value >= 1)

    @property
    def sizes(self) -> dict[str, Any]:
        """Keyword arguments of the network's builder."""
        return {}


@dataclass(frozen=True)
class AugmentedConfig:
    """A recipe for speaker independence: all training speakers train, each epoch on new augmentations.

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
    distillation_weight: float = 0.7  # weight of the teachers' probabilities against the label's, if there are teachers
    mixup: float = 0.0  # alpha of the beta distribution; 0 mixes nothing
    speed: float = 0.8  # share of utterances played up to a tenth faster or slower, which also shifts their pitch
    stretch: float = 0.15  # time alone, e^U(-x, x)
    warp: float = 0.1  # frequency alone (vocal-tract length), e^U(-x, x)
    warped: float = 0.7  # share of utterances
    crop: float = 0.5  # share of utterances cut to a window of 1 s or more, anywhere in them
    frames: int = 224  # longest input in training
    noise: float = 0.4  # share of utterances with noise, half of them babble
    noise_db: tuple[float, float] = (3.0, 35.0)  # signal-to-noise ratio
    reverberation: float = 0.15  # share of utterances in a room
    channel: float = 0.3  # share through another microphone, a telephone or a codec
    bands_masked: int = 10  # at most
    frames_masked: int = 25  # at most, and no more than a fifth
    balance: float = 1.0  # share of the labels' frequencies that is taken out of the finished network's answers
    extra_corpora_ratio: float = 1.0  # utterances of other corpora for each of RAVDESS speech, in an epoch
    channels: tuple[int, ...] = (24, 48, 96)  # of the convolutions
    dense: int = 128  # between them and the recurrent layer
    units: int = 80  # of the recurrent layer, each way
    dropout: float = 0.25
    min_batches: ClassVar[int] = 1  # in an epoch: a smaller corpus is repeated
    unused: ClassVar[tuple[str, ...]] = ()  # settings that change nothing here, which `--set` refuses

    def __post_init__(self) -> None:
        counts = "epochs restart batch_size frames dense units channels"
        ratios = "label_smoothing distillation_weight speed warped crop noise reverberation channel balance"
        amounts = "warm_up weight_decay mixup stretch warp bands_masked frames_masked extra_corpora_ratio"
        _require(self, counts, "1 or more", lambda value: value >= 1)
        _require(self, "learning_rate clip", "above 0", lambda value: 0 < value < math.inf)
        _require(self, ratios, "0 to 1", lambda value: 0 <= value <= 1)
        _require(self, "average dropout", "0 or more, and below 1", lambda value: 0 <= value < 1)
        _require(self, amounts, "0 or more", lambda value: 0 <= value < math.inf)
        _require(self, "noise_db", "finite", math.isfinite)
        if len(self.noise_db) != 2 or self.noise_db[0] > self.noise_db[1]:
            raise ValueError("noise_db must be two values, the lower one first")

    def cycle(self, epoch: int) -> int:
        """Epochs in the learning-rate cycle that contains this epoch.

        >>> AugmentedConfig(epochs=210, restart=150).cycle(150)
        60
        """
        return self.epochs - self.restart if epoch >= self.restart else min(self.restart, self.epochs)

    @property
    def sizes(self) -> dict[str, Any]:
        """Keyword arguments of the network's builder."""
        return {name: getattr(self, name) for name in ("channels", "dense", "units", "dropout")}


@dataclass(frozen=True)
class EncoderConfig(AugmentedConfig):
    """The augmented recipe on a frozen encoder, whose output is computed once for each utterance and augmentation.

    So an utterance has a fixed number of augmentations, and each epoch draws from them.
    """

    epochs: int = 60
    restart: int = 60
    batch_size: int = 32
    warm_up: int = 1
    average: float = 0.9
    crop: float = 0.3
    frames: int = 300
    noise: float = 0.6
    noise_db: tuple[float, float] = (3.0, 30.0)
    reverberation: float = 0.2
    bands_masked: int = 0
    extra_corpora_ratio: float = 2.0
    channels: tuple[int, ...] = ()  # it has no convolutions of its own
    units: int = 64
    dropout: float = 0.4
    copies: int = 8  # augmentations of an utterance
    augmented: float = 0.8  # share of utterances, in an epoch, that are one of these
    shortest: float = 0.6  # of an utterance's steps that an epoch takes
    # Those that are averaged, by their inputs: outputs of the encoder's blocks, side by side; "-mean" for these and the
    # same without the utterance's mean.
    classifiers: tuple[str, ...] = ("2", "2-mean", "2+3")
    min_batches: ClassVar[int] = 12
    unused: ClassVar[tuple[str, ...]] = ("channels", "distillation_weight")  # it has no convolutions, and no teachers

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, "copies", "1 or more", lambda value: value >= 1)
        _require(self, "augmented shortest", "0 to 1", lambda value: 0 <= value <= 1)
        if not all(re.fullmatch(r"[1-4](\+[1-4])*(-mean)?", classifier) for classifier in self.classifiers):
            raise ValueError("classifiers must be like 2, 2+3 or 2-mean, with blocks from 1 to 4")

    @property
    def blocks(self) -> tuple[int, ...]:
        """The encoder's blocks whose outputs are used, in order."""
        return blocks_used(self.classifiers)

    @property
    def sizes(self) -> dict[str, Any]:
        """Keyword arguments of the network's builder."""
        return {name: getattr(self, name) for name in ("classifiers", "dense", "units", "dropout")}


@dataclass(frozen=True)
class NotebookOnEncoderConfig(EncoderConfig):
    """The notebook's layers on the encoder's output: what its networks do with better features than MFCC."""

    dropout: float = 0.2
    classifiers: tuple[str, ...] = ("2+3",)
    recurrent: str = "GRU"  # of its two bidirectional layers, or "LSTM"
    unused: ClassVar[tuple[str, ...]] = (*EncoderConfig.unused, "dense", "units")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.recurrent not in ("GRU", "LSTM"):
            raise ValueError("recurrent must be GRU or LSTM")

    @property
    def sizes(self) -> dict[str, Any]:
        """Keyword arguments of the network's builder."""
        return {"classifiers": self.classifiers, "dropout": self.dropout, "notebook": self.recurrent}


def blocks_used(classifiers: Iterable[str]) -> tuple[int, ...]:
    """The encoder's blocks that classifiers use, in order.

    >>> blocks_used(["3", "2-mean", "2+3"])
    (2, 3)
    """
    return tuple(sorted({block for classifier in classifiers for block in classifier_input(classifier)[0]}))


def classifier_input(classifier: str) -> tuple[list[int], bool]:
    """The blocks whose outputs a classifier takes, and whether these without the utterance's mean as well.

    >>> classifier_input("2+3-mean")
    ([2, 3], True)
    """
    blocks, _, mean = classifier.partition("-")
    return list(map(int, blocks.split("+"))), bool(mean)


Recipe = BaselineConfig | AugmentedConfig


def _require(recipe: Any, names: str, bounds: str, holds: Callable[[float], bool]) -> None:
    for name in names.split():
        value = getattr(recipe, name)
        if not all(map(holds, value if isinstance(value, tuple) else (value,))):
            raise ValueError(f"{name} must be {bounds}")


def with_changes(recipe: Recipe, changes: Iterable[str]) -> Recipe:
    """A recipe with some settings changed.

    Args:
        recipe: stays unchanged.
        changes: like "epochs=60" or "noise_db=0,30"; names of 0.1 are accepted.

    Raises:
        SerEdgeError: an unknown setting, or a value out of its range.

    >>> with_changes(BaselineConfig(), ["epochs=3"]).epochs
    3
    """
    unused = recipe.unused if isinstance(recipe, AugmentedConfig) else ()
    known = {field.name: getattr(recipe, field.name) for field in fields(recipe) if field.name not in unused}
    new: dict[str, Any] = {}
    changes = list(changes)
    for change in changes:
        name, _, text = change.partition("=")
        name = _NAMES.get(name, name)
        if name not in known:
            raise SerEdgeError(
                f"--set {change}: {name} is none of this network's settings: {', '.join(known)}", code=_CODE
            )
        old = known[name]
        try:
            new[name] = tuple(type(old[0])(v) for v in text.split(",")) if isinstance(old, tuple) else type(old)(text)
        except ValueError as e:
            raise SerEdgeError(f"--set {change}: {name} takes a value like {old}", code=_CODE) from e
    try:
        return replace(recipe, **new)
    except ValueError as e:
        raise SerEdgeError(f"--set {' '.join(changes)}: {e}", code=_CODE) from e


def last_of_each(changes: Iterable[str]) -> list[str]:
    """The changes without those that a later one of the same setting replaces, which would name the run as well.

    >>> last_of_each(["epochs=3", "others=1", "epochs=4", "extra_corpora_ratio=2"])
    ['epochs=4', 'extra_corpora_ratio=2']
    """
    names = ((change.partition("=")[0], change) for change in changes)
    return list({_NAMES.get(name, name): change for name, change in names}.values())


def fingerprint(features: FeatureConfig, recipe: Recipe) -> str:
    """Digest of every setting of a training; runs of another fingerprint are trained again."""
    text = re.sub(r"\w+(?=[=(])", lambda name: _FORMER_NAMES.get(name[0], name[0]), f"{features} {recipe}")
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
