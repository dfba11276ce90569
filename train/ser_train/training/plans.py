"""What a training consists of: its job (settings, split, lineage), and its plan (features, batches, normalisation).

The baseline recipe trains on fixed features and validates; the augmented one trains every speaker but the test's, and
extra corpora where it wants them.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt

from ser_edge.features.frontend import Features
from ser_edge.models.metadata import Normalization
from ser_train.data.corpus_registry import CORPORA
from ser_train.data.feature_cache import corpus_features, corpus_spectra, front_end_of
from ser_train.data.splits import PROTOCOLS, Split
from ser_train.data.utterance import CorpusError, Utterance, digest, unique
from ser_train.networks.config import (
    AugmentedConfig,
    BaselineConfig,
    EncoderConfig,
    Recipe,
    fingerprint,
    with_changes,
)
from ser_train.networks.logit_adjustment import logit_adjustment
from ser_train.networks.zoo import NETWORKS, Network
from ser_train.runs.settings import Settings
from ser_train.training.augmentation import Augmenter, Source
from ser_train.training.batches import AugmentedBatches, Batches, ClassifierBatches, Examples, FixedBatches
from ser_train.training.transfer.distillation import ensemble_teacher, soft_labels
from ser_train.training.transfer.encoded_utterances import encode_utterances
from ser_train.training.transfer.frozen_encoder import Classifiers, FrozenEncoder
from ser_train.training.transfer.lineage import Lineage, TrainingError
from ser_train.training.transfer.warm_start import WarmStart

_TEACHER = "teacher-unusable"


@dataclass(frozen=True)
class TrainingJob:
    """One training by its settings; no feature is computed yet."""

    settings: Settings
    network: Network
    recipe: Recipe
    split: Split
    lineage: Lineage


class TrainedPart(Protocol):
    """The part of a network that is trained."""

    @property
    def provenance(self) -> dict[str, str]:
        """Entries of `ModelMetadata.training` on what isn't trained."""
        ...

    def build(self) -> keras.Model:
        """It, with random weights, for the inputs of the batches."""
        ...

    def whole(self, trained: keras.Model, shape: tuple[int, int]) -> keras.Model:
        """The network for (frames, coefficients) with its weights; without an optimizer."""
        ...


@dataclass(frozen=True)
class WholeNetwork:
    """All of a network is trained."""

    network: Network
    recipe: Recipe
    labels: int
    frames: int | None  # of its inputs in training; None if they differ in length

    @property
    def provenance(self) -> dict[str, str]:
        """See `TrainedPart`: everything is trained."""
        return {}

    def build(self) -> keras.Model:
        """See `TrainedPart`."""
        return self._of((self.frames, self.network.features.coefficients))

    def whole(self, trained: keras.Model, shape: tuple[int, int]) -> keras.Model:
        """See `TrainedPart`."""
        network = self._of(shape)
        network.set_weights(trained.get_weights())
        return network

    def _of(self, shape: tuple[int | None, int]) -> keras.Model:
        return self.network.build(shape, self.labels, **self.recipe.sizes)


@dataclass(frozen=True)
class TrainingPlan:
    """The data of one training."""

    normalization: Normalization
    features: Callable[[Sequence[Utterance]], npt.NDArray[np.float32]]  # (n, frames, coefficients), not normalised
    batches: Batches
    batches_per_epoch: int
    validation: tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]] | None  # None: a fixed number of epochs
    part: TrainedPart
    adjustment: npt.NDArray[np.float32]  # (labels,), added to the logits of the finished network


def prepare(settings: Settings, utterances: Sequence[Utterance], out: Path) -> TrainingJob:
    """Splits the corpus and completes the settings with the digests of what the training depends on.

    Raises:
        CorpusError: the corpus is too small for the protocol.
        SerEdgeError: an unknown setting, no network to start from, or weights of an encoder that can't be used.
    """
    network = NETWORKS[settings.network]
    recipe = with_changes(network.recipe, settings.changes)
    if settings.epochs is not None:
        recipe = replace(recipe, epochs=settings.epochs)
    split = PROTOCOLS[settings.protocol].split(utterances, settings.fold, settings.seed)
    if not (isinstance(recipe, AugmentedConfig) and recipe.extra_corpora_ratio > 0):
        split = replace(split, extra=())
    lineage = Lineage.of(settings, out)
    corpus = digest([*split.train, *split.validation, *split.test, *split.extra])
    if lineage.warm_start:
        corpus += f" {lineage.warm_start.digest}"
    corpus += "".join(f" {teacher.digest}" for teacher in lineage.teachers if teacher.finished)
    if isinstance(recipe, EncoderConfig):
        corpus += f" {FrozenEncoder.of(network, recipe, settings.encoder).digest}"
    elif settings.encoder:
        raise TrainingError(f"{settings.network} has no pretrained encoder: no --encoder", code="training-setting")
    settings = replace(settings, corpus=corpus, recipe=fingerprint(network.features, recipe))
    return TrainingJob(settings, network, recipe, split, lineage)


def make_plan(job: TrainingJob, jobs: int = -1) -> TrainingPlan:
    """Computes features, in so many processes, and plans the batches.

    Raises:
        TrainingError: teachers for a recipe without distillation.
        CorpusError: utterances that the front-end can't use, or labels without a training example.
    """
    if isinstance(job.recipe, AugmentedConfig):
        return _augmented_plan(job, job.recipe, jobs)
    return _baseline_plan(job, job.recipe, jobs)


def encode_first(settings: Settings, utterances: Sequence[Utterance], out: Path, jobs: int = -1) -> None:
    """Fills the cache of a network on a frozen encoder, before trainings in several processes would each do it."""
    job = prepare(settings, utterances, out)
    if isinstance(job.recipe, EncoderConfig):
        recordings = unique(utterances)
        spectra = corpus_spectra(recordings, job.network.features, jobs)
        by_digest = {u.digest: spectrum for u, spectrum in zip(recordings, spectra, strict=True)}
        encoder = FrozenEncoder.of(job.network, job.recipe, settings.encoder)
        encode_utterances(recordings, by_digest, encoder, job.recipe)


def label_indices(utterances: Sequence[Utterance], labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """(utterances,) places of their emotions in `labels`."""
    return np.array([labels.index(u.emotion) for u in utterances], np.int64)


def _baseline_plan(job: TrainingJob, recipe: BaselineConfig, jobs: int) -> TrainingPlan:
    if job.lineage.teachers:
        raise TrainingError(
            "a network with the notebook's recipe learns from labels alone: no --teachers", code=_TEACHER
        )
    split = job.split
    if missing := sorted(set(split.labels) - {u.emotion for u in split.train}):
        raise CorpusError(
            f"{', '.join(missing)}: only recorded by validation and test speakers, so there is no training example; "
            "record it with more speakers, or take whisper-gru or crnn, which train on the validation speakers too",
            code="corpus-too-small",
        )
    recordings = unique([*split.train, *split.validation, *split.test])
    rows = corpus_features(recordings, job.network.features, jobs)
    by_digest = {u.digest: row for u, row in zip(recordings, rows, strict=True)}

    def features(utterances: Sequence[Utterance]) -> npt.NDArray[np.float32]:
        return np.stack([by_digest[u.digest] for u in utterances])

    train = features(split.train)
    normalization = _normalization(train, job.lineage.warm_start)
    return TrainingPlan(
        normalization,
        features,
        FixedBatches(normalization.apply(train), label_indices(split.train, split.labels), recipe),
        batches_per_epoch=-(-len(split.train) // recipe.batch_size),
        validation=(normalization.apply(features(split.validation)), label_indices(split.validation, split.labels)),
        part=WholeNetwork(job.network, recipe, len(split.labels), job.network.features.frames),
        adjustment=np.zeros(len(split.labels), np.float32),
    )


def _augmented_plan(job: TrainingJob, recipe: AugmentedConfig, jobs: int) -> TrainingPlan:
    split, front_end = job.split, front_end_of(job.network.features)
    train = unique([*split.train, *split.validation])
    extra = unique(split.extra)
    recordings = unique([*train, *split.test, *extra])
    spectra = corpus_spectra(recordings, job.network.features, jobs)
    by_digest: dict[str, Features] = {u.digest: spectrum for u, spectrum in zip(recordings, spectra, strict=True)}

    def features(utterances: Sequence[Utterance]) -> npt.NDArray[np.float32]:
        return np.stack([front_end.utterance(by_digest[u.digest]) for u in utterances])

    fixed = job.network.normalization
    normalization = fixed or _normalization(features([*train, *extra]), job.lineage.warm_start)
    adjustment = logit_adjustment(label_indices(train, split.labels), len(split.labels), recipe.balance)
    examples = _examples([*train, *extra], split.labels, recipe)
    part: TrainedPart
    batches: ClassifierBatches | AugmentedBatches
    if isinstance(recipe, EncoderConfig):
        if job.lineage.teachers:
            raise TrainingError("a network on a frozen encoder learns from labels alone: no --teachers", code=_TEACHER)
        encoder = FrozenEncoder.of(job.network, recipe, job.settings.encoder)
        encoded = encode_utterances(recordings, by_digest, encoder, recipe).of([*train, *extra])
        start = job.lineage.warm_start
        output = start.encoder_output() if start else encoded.statistics()
        part = Classifiers(job.network, recipe, len(split.labels), encoder, output)
        batches = ClassifierBatches(AugmentedBatches(encoded, output, examples, recipe), len(recipe.classifiers))
    else:
        part = WholeNetwork(job.network, recipe, len(split.labels), frames=None)
        augmenter = Augmenter(recipe, front_end, [Source(by_digest[u.digest], u.speaker) for u in (*train, *extra)])
        teachers, teacher = job.lineage.teachers, None
        if all(run.metadata.features == job.network.features for run in teachers):
            teacher = ensemble_teacher(teachers, normalization, adjustment)
        else:
            soft = soft_labels(teachers, [*train, *extra], adjustment, jobs)
            examples = [_distilled(corpus, soft, recipe.distillation_weight) for corpus in examples]
        batches = AugmentedBatches(augmenter, normalization, examples, recipe, teacher)
    return TrainingPlan(
        normalization, features, batches, batches.count, validation=None, part=part, adjustment=adjustment
    )


def _examples(utterances: Sequence[Utterance], labels: Sequence[str], recipe: AugmentedConfig) -> list[Examples]:
    """Examples by corpus, the split one first; extra corpora share their ratio by the square roots of their sizes."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, utterance in enumerate(utterances):
        places[utterance.corpus].append(place)
    first, *rest = places
    roots = {name: len(places[name]) ** 0.5 for name in rest}
    ratios = {first: 1.0} | {
        name: min(recipe.extra_corpora_ratio * root / sum(roots.values()), len(places[name]) / len(places[first]))
        for name, root in roots.items()
    }
    targets = np.eye(len(labels), dtype=np.float32)[label_indices(utterances, labels)]
    for name, rows in places.items():
        for place, label in enumerate(labels):
            if name in CORPORA and label not in CORPORA[name].emotions:
                targets[rows, place] = -1
    return [Examples(np.array(rows), targets[rows], ratios[name]) for name, rows in places.items()]


def _distilled(examples: Examples, soft: npt.NDArray[np.float32], weight: float) -> Examples:
    """Examples whose targets are in part teachers' probabilities of the labels that the corpus has; -1 stays -1."""
    known = examples.targets >= 0
    probabilities = soft[examples.places] * known
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    targets = np.where(known, (1 - weight) * examples.targets + weight * probabilities, -1)
    return replace(examples, targets=targets.astype(np.float32))


def _normalization(features: npt.NDArray[np.float32], warm_start: WarmStart | None) -> Normalization:
    """Mean and standard deviation of each coefficient over all frames, NaN frames left out; else the warm start's."""
    if warm_start and warm_start.metadata.normalization:
        return warm_start.metadata.normalization
    mean: Any = np.nanmean(features, (0, 1), dtype=np.float64)
    std: Any = np.nanstd(features, (0, 1), dtype=np.float64)
    std = np.maximum(std, 1e-3)  # dB; a constant coefficient stays small
    return Normalization(tuple(mean.astype(np.float32).tolist()), tuple(std.astype(np.float32).tolist()))
