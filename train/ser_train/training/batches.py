"""The batches of each epoch, a function of (seed, epoch) alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ser_edge.features.frontend import Features
from ser_edge.models.metadata import Normalization
from ser_train.networks.config import AugmentedConfig, BaselineConfig

Teacher = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]  # normalised features to probabilities
Batch = tuple[npt.NDArray[np.float32], npt.NDArray[Any]]


_MULTIPLE = 4  # of a batch's steps: each number of steps is compiled once (`xla_rnn`), which takes a second


class Batches(Protocol):
    """Makes the batches of an epoch."""

    def __call__(self, seed: int, epoch: int) -> list[Batch]:
        """(features, targets) of each batch."""
        ...


@dataclass(frozen=True)
class FixedBatches:
    """The same features in every epoch, shuffled."""

    features: npt.NDArray[np.float32]  # normalised
    labels: npt.NDArray[np.int64]
    recipe: BaselineConfig

    def __call__(self, seed: int, epoch: int) -> list[Batch]:
        """(batch, frames, coefficients) and (batch,) labels."""
        order = np.random.default_rng([seed, epoch]).permutation(len(self.features))
        places = range(0, len(order), self.recipe.batch_size)
        parts = [order[i : i + self.recipe.batch_size] for i in places]
        return [(self.features[part], self.labels[part]) for part in parts]


@dataclass(frozen=True)
class Examples:
    """Utterances of one corpus, for augmented training."""

    places: npt.NDArray[np.int64]  # of the source's utterances
    targets: npt.NDArray[np.float32]  # (n, labels): 1 for the label, -1 for a label that the corpus doesn't have
    ratio: float  # of them drawn in an epoch, to examples of the first corpus


class Source(Protocol):
    """Makes the inputs: an `Augmenter`, or `EncodedUtterances`."""

    def __call__(self, index: int, random: np.random.Generator) -> Features:
        """(frames, coefficients) of one augmentation of an utterance, without padding frames."""
        ...

    def masked(self, features: Features, random: np.random.Generator) -> Features:
        """Normalised features with some of them set to the mean."""
        ...


@dataclass(frozen=True)
class AugmentedBatches:
    """New augmentations of the utterances in every epoch, batched by similar length."""

    source: Source
    normalization: Normalization
    corpora: Sequence[Examples]  # the first is drawn whole, or several times, in each epoch, the others by their ratio
    recipe: AugmentedConfig
    teacher: Teacher | None = None

    @property
    def count(self) -> int:
        """Batches in an epoch."""
        return -(-sum(map(len, self._drawn(np.random.default_rng(0)))) // self.recipe.batch_size)

    def __call__(self, seed: int, epoch: int) -> list[Batch]:
        """(batch, frames, coefficients), zeros where frames are missing, and (batch, labels) targets."""
        random = np.random.default_rng([seed, epoch])
        drawn = [
            (examples.places[i], examples.targets[i])
            for examples, chosen in zip(self.corpora, self._drawn(random), strict=True)
            for i in chosen
        ]
        augmented = [
            self.source.masked(self.normalization.apply(self.source(int(place), random)), random) for place, _ in drawn
        ]
        length = np.array([len(features) for features in augmented]) + random.uniform(0, 20, len(augmented))
        order = np.argsort(length)
        size = self.recipe.batch_size
        parts = [order[i : i + size] for i in range(0, len(order), size)]
        batches = [(_padded([augmented[i] for i in part]), np.stack([drawn[i][1] for i in part])) for part in parts]
        mixed = (self._mixed(batches[i], random) for i in random.permutation(len(batches)))
        return [(features, self._softened(features, targets)) for features, targets in mixed]

    def _drawn(self, random: np.random.Generator) -> list[npt.NDArray[np.int64]]:
        first = len(self.corpora[0].places)
        repeats = (self.recipe.min_batches - 1) * self.recipe.batch_size // first + 1
        return [
            np.tile(np.arange(first), repeats)
            if place == 0
            else random.choice(len(examples.places), round(first * examples.ratio), replace=False)
            for place, examples in enumerate(self.corpora)
        ]

    def _mixed(self, batch: Batch, random: np.random.Generator) -> Batch:
        """Mixup (Zhang et al., 2018): each example with a little, or half, of another one."""
        features, targets = batch
        if self.recipe.mixup == 0:
            return batch
        share = random.beta(self.recipe.mixup, self.recipe.mixup, len(features)).astype(np.float32)
        share = np.maximum(share, 1 - share)
        other = random.permutation(len(features))
        known = (targets >= 0) & (targets[other] >= 0)
        mixed = share[:, None] * np.maximum(targets, 0) + (1 - share[:, None]) * np.maximum(targets[other], 0)
        # Of two corpora: a label that one of them lacks may be the other's target, but never counts as absent.
        mixed = np.where(known | (mixed > 0), mixed, -1)
        return share[:, None, None] * features + (1 - share[:, None, None]) * features[other], mixed

    def _softened(self, features: npt.NDArray[np.float32], targets: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Targets after label smoothing and distillation from the teacher's probabilities; -1 stays -1."""
        known = targets >= 0
        smooth = self.recipe.label_smoothing
        softened = (1 - smooth) * targets + smooth * known / known.sum(axis=1, keepdims=True)
        if self.teacher is not None:
            probabilities = self.teacher(features) * known
            probabilities /= probabilities.sum(axis=1, keepdims=True)
            weight = self.recipe.distillation_weight
            softened = (1 - weight) * softened + weight * probabilities
        return np.where(known, softened, -1).astype(np.float32)


@dataclass(frozen=True)
class ClassifierBatches:
    """Batches for several classifiers that are trained side by side, each on what it draws itself."""

    batches: AugmentedBatches
    classifiers: int

    @property
    def count(self) -> int:
        """Batches in an epoch."""
        return self.batches.count

    def __call__(self, seed: int, epoch: int) -> list[Batch]:
        """(batch, classifiers, steps, values), zeros where steps are missing, and (batch, classifiers, labels)."""
        drawn = [self.batches(seed * self.classifiers + place, epoch) for place in range(self.classifiers)]
        # Those of about one length together, and the one that isn't full with the other classifiers'.
        ordered = [sorted(batches, key=lambda batch: (-len(batch[0]), batch[0].shape[1])) for batches in drawn]
        joined = [_joined(parts) for parts in zip(*ordered, strict=True)]
        return [joined[i] for i in np.random.default_rng([seed, epoch]).permutation(len(joined))]


def _joined(parts: Sequence[Batch]) -> Batch:
    longest = max(features.shape[1] for features, _ in parts)
    steps = -(-longest // _MULTIPLE) * _MULTIPLE
    padded = [np.pad(features, ((0, 0), (0, steps - features.shape[1]), (0, 0))) for features, _ in parts]
    return np.stack(padded, axis=1), np.stack([targets for _, targets in parts], axis=1)


def _padded(items: Sequence[Features]) -> npt.NDArray[np.float32]:
    padded = np.zeros((len(items), max(map(len, items)), items[0].shape[1]), np.float32)
    for row, item in zip(padded, items, strict=True):
        row[: len(item)] = item
    return padded
