"""Training of one network: from settings to a run directory, reproducible by seed, and resumable after a kill.

Everything random in an epoch (the order of the batches, augmentation, dropout) is drawn from (seed, epoch), so that an
epoch depends only on the state at its beginning. That state is saved after each epoch: a training that is killed and
started again on the same machine ends with the same weights.
"""

import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import get_ident

import keras
import numpy as np
from tqdm import tqdm

from ser_train.data.atomic import one_at_a_time
from ser_train.data.utterance import Utterance
from ser_train.networks.config import AugmentedConfig, BaselineConfig
from ser_train.networks.logit_adjustment import adjust
from ser_train.runs.run_directory import RunDirectory
from ser_train.runs.settings import Settings
from ser_train.training.checkpoint import Checkpoint, Progress
from ser_train.training.optimizer import compile_model
from ser_train.training.plans import TrainingJob, TrainingPlan, make_plan, prepare
from ser_train.training.run_writer import write_run
from ser_train.training.transfer.lineage import TrainingError

__all__ = ["TrainingError", "build_seeded", "check", "fit", "train_epoch", "train_network"]

_WARM_START_BATCHES = 4  # batches on which a warm-started network's normalisations are measured


def fit(
    settings: Settings, utterances: Sequence[Utterance], out: Path, jobs: int = -1, bar: bool = True
) -> RunDirectory:
    """Trains one network by one protocol, unless the same training has finished before, and is undamaged.

    Args:
        settings: network, protocol, fold, seed and changes.
        utterances: the corpus.
        out: the folder that holds run directories.
        jobs: processes that compute features which aren't cached yet.
        bar: show a progress bar on a terminal; False for a line an epoch, as in a log.

    Returns:
        The finished run directory, `out` / `settings.name`.

    Raises:
        CorpusError: the corpus is too small for the protocol, or has utterances that the front-end can't use.
        TrainingError: the loss is no longer finite, or a network to build on that can't be used.
    """
    job = check(settings, utterances, out)
    run = RunDirectory(out / job.settings.name)
    if _is_finished(run, job.settings):
        return run
    run.path.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(run.path):
        if _is_finished(run, job.settings):  # by another process meanwhile
            return run
        if run.whole:
            print(
                f"{run.path}: trained with other data or settings before; this training replaces it at its end, "
                "unless you stop it and give another --out",
                file=sys.stderr,
                flush=True,
            )
        plan = make_plan(job, jobs)
        checkpoint = Checkpoint(run, job.settings)
        model, progress = train_network(job, plan, checkpoint, bar)
        write_run(run, job, plan, model, progress)
        checkpoint.remove()
    return run


def check(settings: Settings, utterances: Sequence[Utterance], out: Path) -> TrainingJob:
    """The training that `fit` is going to do; raises what that would raise before it computes anything."""
    job = prepare(settings, utterances, out)
    if not _is_finished(RunDirectory(out / job.settings.name), job.settings):
        job.lineage.check(job.settings, job.network, job.split)
    return job


def _is_finished(run: RunDirectory, settings: Settings) -> bool:
    return run.whole and run.settings.is_training_of(settings)


def train_network(
    job: TrainingJob, plan: TrainingPlan, checkpoint: Checkpoint, show_bar: bool = True
) -> tuple[keras.Model, Progress]:
    """Trains the epochs that are left; returns the model with the final weights, and its progress."""
    name, recipe, seed = job.settings.name, job.recipe, job.settings.seed
    model, progress = _restored(job, plan, checkpoint)
    patience = recipe.patience if isinstance(recipe, BaselineConfig) else recipe.epochs
    hidden = None if show_bar else True  # None: hidden where standard error is no terminal
    with tqdm(desc=name, total=recipe.epochs, initial=progress.epoch, unit=" epochs", disable=hidden) as bar:
        while progress.epoch < recipe.epochs and progress.epoch - progress.best_epoch < patience:
            started, epoch = time.perf_counter(), progress.epoch
            _seed_dropout(model, seed, epoch)
            metrics = train_epoch(model, plan, seed, epoch)
            if not np.isfinite(metrics["loss"]):
                raise TrainingError(
                    f"{name}: the loss is {metrics['loss']} in epoch {epoch + 1}; try another seed",
                    code="training-diverged",
                )
            accuracy = metrics.get("val_accuracy")
            best = accuracy is None or accuracy > progress.best_accuracy  # without validation always the last
            progress = Progress(
                epoch + 1,
                accuracy if best and accuracy is not None else progress.best_accuracy,
                epoch + 1 if best else progress.best_epoch,
                (*progress.history, metrics),
            )
            if isinstance(recipe, AugmentedConfig) and progress.epoch == recipe.restart < recipe.epochs:
                _restart(model, recipe, plan.batches_per_epoch)
            checkpoint.save(model, progress, best and accuracy is not None)
            bar.set_postfix({key: f"{value:.3f}" for key, value in metrics.items()}, refresh=False)
            bar.update()
            if bar.disable:
                figures = "  ".join(f"{key} {value:.4f}" for key, value in metrics.items())
                place, seconds = f"epoch {epoch + 1}/{recipe.epochs}", time.perf_counter() - started
                print(f"{name}  {place}  {figures}  {seconds:.1f} s", file=sys.stderr, flush=True)
    if model.optimizer.use_ema:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    else:
        checkpoint.restore_best(model)
    return model, progress


def _restored(job: TrainingJob, plan: TrainingPlan, checkpoint: Checkpoint) -> tuple[keras.Model, Progress]:
    """The compiled model at the checkpoint; else with the warm start's weights, or the seed's."""
    labels, seed = job.split.labels, job.settings.seed
    model = build_seeded(seed, plan.part.build)
    progress = checkpoint.progress()
    compile_model(model, job.recipe, plan.batches_per_epoch, progress.epoch)
    if progress.epoch:
        checkpoint.restore(model, progress.epoch)
    elif job.lineage.warm_start:
        inputs = [features for features, _ in plan.batches(seed, 0)[:_WARM_START_BATCHES]]
        job.lineage.warm_start.initialize(model, labels, inputs)
        adjust(model, -plan.adjustment)
    return model, progress


def train_epoch(model: keras.Model, plan: TrainingPlan, seed: int, epoch: int) -> dict[str, float]:
    """Trains on an epoch's batches; returns their loss and accuracy, and the validation's.

    Batch by batch, without `Model.fit`: that takes the first batch's length for all, and ends by replacing the weights
    with their moving average.
    """
    steps, sizes = [], []
    for features, targets in plan.batches(seed, epoch):
        steps.append(model.train_on_batch(features, targets, return_dict=True))  # metrics of this batch alone
        sizes.append(len(features))
    metrics = {name: np.average([step[name] for step in steps], weights=sizes) for name in steps[0]}
    if plan.validation is not None:
        validated = model.evaluate(*plan.validation, batch_size=256, verbose=0, return_dict=True)
        metrics |= {f"val_{name}": value for name, value in validated.items()}
    return {name.replace("categorical_", ""): float(value) for name, value in metrics.items()}


def build_seeded(seed: int, build: Callable[[], keras.Model]) -> keras.Model:
    """Builds a network with the initial weights of a seed.

    Keras draws them by `random.randint`, from a generator that other threads use as well, as Dask's do twice a second.
    So this thread has one of its own meanwhile.
    """
    keras.utils.set_random_seed(seed)
    shared, own, thread = random.randint, random.Random(seed), get_ident()

    def draw(a: int, b: int) -> int:
        return (own.randint if get_ident() == thread else shared)(a, b)

    random.randint = draw
    try:
        return build()
    finally:
        random.randint = shared


def _seed_dropout(model: keras.Model, seed: int, epoch: int) -> None:
    """Seeds every dropout's generator by the epoch, whatever was drawn before."""
    for place, layer in enumerate(model._flatten_layers()):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(np.random.default_rng([seed, epoch, place]).integers(0, 2**31, 2))


def _restart(model: keras.Model, recipe: AugmentedConfig, batches: int) -> None:
    """Restarts the learning rate from the weights' moving average (Loshchilov & Hutter, 2017)."""
    model.optimizer.finalize_variable_values(model.trainable_variables)
    compile_model(model, recipe, batches, recipe.restart)
    model.optimizer.build(model.trainable_variables)  # now: it is saved before its first step
