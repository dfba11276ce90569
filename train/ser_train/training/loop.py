"""One training run: from features to a run directory, repeatable by seed, and going on after a kill.

Everything random in an epoch (the order of the batches, the dropout masks) is drawn from (seed, epoch), so an epoch
depends on nothing but the state at its beginning. That state is saved after each one; a training that is killed and
started again on the same machine ends with the very weights it would have had.
"""

import json
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ser_edge.models.metadata import Accuracy, ModelMetadata, Normalization
from ser_train.data.atomic import atomic_write
from ser_train.data.corpus_loader import Utterance, digest, unique
from ser_train.data.corpus_registry import CORPORA
from ser_train.data.feature_cache import corpus_features, corpus_spectra, front_end_of
from ser_train.data.splits import PROTOCOLS, Split
from ser_train.evaluation.metrics import score
from ser_train.networks.config import AugmentedConfig, BaselineConfig, Recipe, fingerprint, with_changes
from ser_train.networks.logit_adjustment import adjust, logit_adjustment
from ser_train.networks.zoo import NETWORKS, Network
from ser_train.reporting.plots import plot_confusion, plot_history
from ser_train.reporting.tables import classification_text
from ser_train.runs.run_directory import Answers, RunDirectory
from ser_train.runs.settings import Settings
from ser_train.training.augmentation import Augmenter, Source
from ser_train.training.batches import AugmentedBatches, Batches, Examples, FixedBatches
from ser_train.training.optimizer import compile_model
from ser_train.training.transfer.distillation import gather
from ser_train.training.transfer.lineage import Lineage, TrainingError
from ser_train.training.transfer.warm_start import WarmStart

__all__ = ["TrainingError", "fit"]

_ANSWERS = 600  # utterances whose answers are kept at least: the gates of export want 500
_EXAMPLES = 4  # batches that a network which begins as another one is measured on
_VERSIONS = ("ser-edge", "keras", "tensorflow", "numpy", "soundfile", "soxr", "scikit-learn")


@dataclass(frozen=True)
class _Progress:
    """The state between two epochs, beside the weights."""

    epoch: int = 0  # epochs done
    best_accuracy: float = -1.0
    best_epoch: int = 0
    history: tuple[dict[str, float], ...] = ()


def fit(
    settings: Settings, utterances: Sequence[Utterance], out: Path, jobs: int = -1, bar: bool = True
) -> RunDirectory:
    """Trains one network by one protocol, or returns the run that did so before.

    Args:
        settings: network, protocol, fold and seed.
        utterances: the corpus.
        out: the folder that holds run directories.
        jobs: processes that compute features which aren't cached yet.
        bar: show a progress bar on a terminal; False for a line an epoch, as in a log.

    Returns:
        The finished run directory, `out` / `settings.name`.

    Raises:
        CorpusError: the corpus is too small for the protocol.
        TrainingError: the loss is no longer finite.
        AudioError: an utterance the front-end can't use.
    """
    network = NETWORKS[settings.network]
    recipe = with_changes(network.recipe, settings.changes)
    if settings.epochs is not None:
        recipe = replace(recipe, epochs=settings.epochs)
    split = PROTOCOLS[settings.protocol].split(utterances, settings.fold, settings.seed)
    if not (isinstance(recipe, AugmentedConfig) and recipe.extra_corpora_ratio > 0):
        split = replace(split, extra=())
    lineage = Lineage.of(settings, out)
    heard = digest([*split.train, *split.validation, *split.test, *split.extra])
    if lineage.warm_start:
        heard += f" {lineage.warm_start.digest}"
    settings = replace(settings, corpus=heard, recipe=fingerprint(network.features, recipe))
    run = RunDirectory(out / settings.name)
    if run.finished and run.settings == settings:
        return run
    lineage.check(settings, network, split)
    lesson = _LESSONS[type(recipe)](split, network, recipe, lineage, jobs)
    model, progress = _train(run, settings, network, recipe, lesson, bar)
    _finish(run, settings, network, recipe, split, lesson, model, progress)
    return run


@dataclass(frozen=True)
class _Lesson:
    """What a training is made of, the network aside."""

    normalization: Normalization
    features: Callable[[Sequence[Utterance]], npt.NDArray[np.float32]]  # for answers; not normalised
    batches: Batches
    count: int  # of batches in an epoch
    validation: tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]] | None  # None: nothing stops it early
    lengths: bool  # whether the batches differ in length
    labels: tuple[str, ...]
    adjustment: npt.NDArray[np.float32]  # (labels,), added to the logits of the finished network
    warm_start: WarmStart | None
    training: dict[str, Any]  # for the metadata: where it comes from


def _fixed_lesson(split: Split, network: Network, recipe: BaselineConfig, lineage: Lineage, jobs: int) -> _Lesson:
    """The notebook's."""
    if lineage.teachers:
        raise TrainingError("a network with the notebook's recipe learns from labels alone: no --teachers")
    recordings = unique([*split.train, *split.validation, *split.test])
    rows = corpus_features(recordings, network.features, jobs)
    by_digest = {u.digest: row for u, row in zip(recordings, rows, strict=True)}

    def features(utterances: Sequence[Utterance]) -> npt.NDArray[np.float32]:
        return np.stack([by_digest[u.digest] for u in utterances])

    train = features(split.train)
    normalization = _normalization(train, lineage.warm_start)
    return _Lesson(
        normalization,
        features,
        FixedBatches(normalization.apply(train), _labels(split.train, split.labels), recipe),
        -(-len(split.train) // recipe.batch_size),
        (normalization.apply(features(split.validation)), _labels(split.validation, split.labels)),
        lengths=False,
        labels=split.labels,
        adjustment=np.zeros(len(split.labels), np.float32),
        warm_start=lineage.warm_start,
        training=lineage.training(split),
    )


def _augmented_lesson(split: Split, network: Network, recipe: AugmentedConfig, lineage: Lineage, jobs: int) -> _Lesson:
    """Every training voice trains, and other corpora where the recipe wants them."""
    front_end = front_end_of(network.features)
    train = unique([*split.train, *split.validation])
    extra = unique(split.extra)
    recordings = unique([*train, *split.test, *extra])
    spectra = corpus_spectra(recordings, network.features, jobs)
    by_digest = {u.digest: spectrum for u, spectrum in zip(recordings, spectra, strict=True)}

    def features(utterances: Sequence[Utterance]) -> npt.NDArray[np.float32]:
        return np.stack([front_end.utterance(by_digest[u.digest]) for u in utterances])

    normalization = _normalization(features([*train, *extra]), lineage.warm_start)
    adjustment = logit_adjustment(_labels(train, split.labels), len(split.labels), recipe.balance)
    sources = [Source(by_digest[u.digest], u.speaker) for u in (*train, *extra)]
    batches = AugmentedBatches(
        Augmenter(recipe, front_end, sources),
        normalization,
        _examples([*train, *extra], split.labels, recipe),
        recipe,
        gather(lineage.teachers, normalization, adjustment),
    )
    return _Lesson(
        normalization,
        features,
        batches,
        batches.count,
        validation=None,
        lengths=True,
        labels=split.labels,
        adjustment=adjustment,
        warm_start=lineage.warm_start,
        training=lineage.training(split),
    )


def _examples(utterances: Sequence[Utterance], labels: Sequence[str], recipe: AugmentedConfig) -> list[Examples]:
    """Examples by corpus, the split one first; the extra corpora share their ratio by the root of their sizes."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, utterance in enumerate(utterances):
        places[utterance.corpus].append(place)
    first, *rest = places
    roots = {name: len(places[name]) ** 0.5 for name in rest}
    shares = {first: 1.0} | {
        name: min(recipe.extra_corpora_ratio * root / sum(roots.values()), len(places[name]) / len(places[first]))
        for name, root in roots.items()
    }
    targets = np.eye(len(labels), dtype=np.float32)[_labels(utterances, labels)]
    for name, rows in places.items():
        for place, label in enumerate(labels):
            if name in CORPORA and label not in CORPORA[name].emotions:
                targets[rows, place] = -1
    return [Examples(np.array(rows), targets[rows], shares[name]) for name, rows in places.items()]


_LESSONS: dict[type[Recipe], Callable[..., _Lesson]] = {
    BaselineConfig: _fixed_lesson,
    AugmentedConfig: _augmented_lesson,
}


def _train(
    run: RunDirectory, settings: Settings, network: Network, recipe: Recipe, lesson: _Lesson, show_bar: bool
) -> tuple[keras.Model, _Progress]:
    """Runs the epochs that are left; returns the model with the weights to keep, and how it went."""
    run.checkpoint.mkdir(parents=True, exist_ok=True)  # now, so that nothing is trained that can't be kept
    frames = None if lesson.lengths else network.features.frames
    shape = frames, network.features.coefficients
    model = _seeded(settings.seed, lambda: network.build(shape, len(lesson.labels), **recipe.sizes))
    progress = _progress(run, settings)
    compile_model(model, recipe, lesson.count, progress.epoch)
    if progress.epoch:
        _resume(run, model, progress.epoch)
    elif lesson.warm_start:
        examples = [features for features, _ in lesson.batches(settings.seed, 0)[:_EXAMPLES]]
        lesson.warm_start.give(model, lesson.labels, examples)
        adjust(model, -lesson.adjustment)
    patience = recipe.patience if isinstance(recipe, BaselineConfig) else recipe.epochs
    hidden = None if show_bar else True  # None: hidden where standard error is no terminal
    with tqdm(desc=settings.name, total=recipe.epochs, initial=progress.epoch, unit=" epochs", disable=hidden) as bar:
        while progress.epoch < recipe.epochs and progress.epoch - progress.best_epoch < patience:
            started = time.perf_counter()
            epoch = progress.epoch
            _reseed(model, settings.seed, epoch)
            now = _epoch(model, lesson, settings.seed, epoch)
            if not np.isfinite(now["loss"]):
                raise TrainingError(
                    f"{settings.name}: the loss is {now['loss']} in epoch {epoch + 1}; try another seed"
                )
            stopper = now.get("val_accuracy")
            best = stopper is None or stopper > progress.best_accuracy  # without validation: always the last
            progress = _Progress(
                epoch + 1,
                stopper if best and stopper is not None else progress.best_accuracy,
                epoch + 1 if best else progress.best_epoch,
                (*progress.history, now),
            )
            if isinstance(recipe, AugmentedConfig) and progress.epoch == recipe.restart < recipe.epochs:
                _restart(model, recipe, lesson.count)
            _save(run, settings, model, progress, best and stopper is not None)
            bar.set_postfix({name: f"{value:.3f}" for name, value in now.items()}, refresh=False)
            bar.update()
            if bar.disable:
                figures = "  ".join(f"{name} {value:.4f}" for name, value in now.items())
                place, seconds = f"epoch {epoch + 1}/{recipe.epochs}", time.perf_counter() - started
                print(f"{settings.name}  {place}  {figures}  {seconds:.1f} s", file=sys.stderr, flush=True)
    if model.optimizer.use_ema:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    else:
        model.load_weights(run.checkpoint / "best.weights.h5")
    return model, progress


def _epoch(model: keras.Model, lesson: _Lesson, seed: int, epoch: int) -> dict[str, float]:
    """Trains on an epoch's batches; returns their loss and accuracy, and the validation's.

    One by one, not by `fit`: that takes the first batches' length for everyone's, and ends by putting the moving
    average in place of the weights.
    """
    steps, sizes = [], []
    for features, targets in lesson.batches(seed, epoch):
        steps.append(model.train_on_batch(features, targets, return_dict=True))  # of this batch alone
        sizes.append(len(features))
    now = {name: np.average([step[name] for step in steps], weights=sizes) for name in steps[0]}
    if lesson.validation is not None:
        checked = model.evaluate(*lesson.validation, batch_size=256, verbose=0, return_dict=True)
        now |= {f"val_{name}": value for name, value in checked.items()}
    return {name.replace("categorical_", ""): float(value) for name, value in now.items()}


def _seeded(seed: int, build: Callable[[], keras.Model]) -> keras.Model:
    """A network with the first weights of this seed.

    Keras draws them from Python's own generator, and so may other threads of the process meanwhile, as Dask's do: so
    it is built until two in a row agree.
    """
    model = None
    while True:
        before = model
        keras.utils.set_random_seed(seed)
        model = build()
        if before and all(map(np.array_equal, before.get_weights(), model.get_weights())):
            return model


def _reseed(model: keras.Model, seed: int, epoch: int) -> None:
    """Puts every dropout's generator where this epoch begins, whatever was drawn before."""
    for place, layer in enumerate(model._flatten_layers()):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(np.random.default_rng([seed, epoch, place]).integers(0, 2**31, 2))


def _save(run: RunDirectory, settings: Settings, model: keras.Model, progress: _Progress, best: bool) -> None:
    """Saves the state after an epoch. The progress file names the weights that belong to it, and is written last."""
    if best:
        with atomic_write(run.checkpoint / "best.weights.h5") as unfinished:
            model.save_weights(unfinished)
    with atomic_write(run.checkpoint / f"epoch{progress.epoch}.keras") as unfinished:
        model.save(unfinished)
    run.write("checkpoint/progress.json", {"settings": asdict(settings), **asdict(progress)})
    (run.checkpoint / f"epoch{progress.epoch - 1}.keras").unlink(missing_ok=True)


def _progress(run: RunDirectory, settings: Settings) -> _Progress:
    """How far a training of these settings had come when it was killed, if one was."""
    try:
        state = run.read("checkpoint/progress.json")
    except (OSError, json.JSONDecodeError):
        return _Progress()
    if Settings.of(state.pop("settings")) != settings:
        return _Progress()
    return _Progress(**{**state, "history": tuple(state["history"])})


def _resume(run: RunDirectory, model: keras.Model, epoch: int) -> None:
    """Puts a compiled model where it was after so many epochs.

    Only weights and the optimizer's variables are read: Keras's file forgets what is excluded from weight decay.
    """
    model.optimizer.build(model.trainable_variables)
    model.load_weights(run.checkpoint / f"epoch{epoch}.keras")


def _restart(model: keras.Model, recipe: AugmentedConfig, batches: int) -> None:
    """Goes on from the weights' moving average, at the rate of the beginning (Loshchilov & Hutter, 2017)."""
    model.optimizer.finalize_variable_values(model.trainable_variables)
    compile_model(model, recipe, batches, recipe.restart)
    model.optimizer.build(model.trainable_variables)  # now: it is saved before its first step


def _finish(
    run: RunDirectory,
    settings: Settings,
    network: Network,
    recipe: Recipe,
    split: Split,
    lesson: _Lesson,
    model: keras.Model,
    progress: _Progress,
) -> None:
    """Tests the network and writes everything a run directory holds."""
    kept = _kept(split)
    features = lesson.features(kept)
    shape = features.shape[1:]
    bare = network.build(shape, len(lesson.labels), **recipe.sizes)  # never compiled: saves without optimizer
    bare.set_weights(model.get_weights())
    adjust(bare, lesson.adjustment)
    answers = Answers(
        features,
        _labels(kept, lesson.labels),
        np.array([u.name for u in kept]),
        np.array([u.actor for u in kept]),
        bare.predict(lesson.normalization.apply(features), batch_size=256, verbose=0),
        np.arange(len(kept)) < len(split.test),
    )
    test = answers.of_test()
    scores = score(test.labels, test.probabilities)
    accuracy = Accuracy(settings.protocol, 1, 1, round(scores.wa, 2), round(scores.uar, 2), round(scores.f1, 2))
    metadata = ModelMetadata(
        name=settings.network,
        labels=lesson.labels,
        features=network.features,
        normalization=lesson.normalization,
        accuracy=accuracy if settings.protocol != "all" else None,  # evaluate gives it that of the folds
        training={"run": settings.name, **lesson.training},
    )
    (run.path / "run.json").unlink(missing_ok=True)  # of an older training: from here on the directory isn't whole
    bare.save(run.path / "model.keras")
    run.write("description.json", metadata.to_json())
    run.write("history.json", progress.history)
    run.write("report.txt", classification_text(test, lesson.labels))
    run.write_answers(answers)
    plot_confusion(test, lesson.labels, settings.name, run.path / "confusion.png")
    plot_history(progress.history, progress.best_epoch, settings.name, run.path / "curves.png")
    parts = {name: len(part) for name, part in asdict(split).items()}
    parts["others"] = parts.pop("extra")  # the key of 0.1
    run.write(
        "run.json",
        {
            "settings": asdict(settings),
            "recipe": asdict(recipe),
            "metrics": asdict(scores),
            "epochs": progress.epoch,
            "best_epoch": progress.best_epoch,
            "parameters": model.count_params(),
            "utterances": parts,
            "versions": {name: version(name) for name in _VERSIONS},
        },
    )
    shutil.rmtree(run.checkpoint)


def _kept(split: Split) -> list[Utterance]:
    """The test first; then, if these are few, others until there are enough to check numbers on."""
    rest = unique([*split.validation, *split.train])
    return [*split.test, *rest[: max(0, _ANSWERS - len(split.test))]]


def _normalization(features: npt.NDArray[np.float32], warm_start: WarmStart | None) -> Normalization:
    """Mean and standard std of each coefficient over the training set's frames; NaN where there is no frame.

    A network that begins as another one goes on hearing as that one does.
    """
    if warm_start and warm_start.metadata.normalization:
        return warm_start.metadata.normalization
    mean = np.nanmean(features, (0, 1), dtype=np.float64)
    std = np.nanstd(features, (0, 1), dtype=np.float64)
    std = np.maximum(std, 1e-3)  # dB; a constant coefficient stays small
    return Normalization(tuple(mean.astype(np.float32).tolist()), tuple(std.astype(np.float32).tolist()))


def _labels(utterances: Sequence[Utterance], labels: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.array([labels.index(u.emotion) for u in utterances], np.int64)
