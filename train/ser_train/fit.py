"""One training run: from features to a run directory, repeatable by seed, and going on after a kill.

Everything random in an epoch (the order of the batches, the dropout masks) is drawn from (seed, epoch), so an epoch
depends on nothing but the state at its beginning. That state is saved after each one; a training that is killed and
started again on the same machine ends with the very weights it would have had.
"""

import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ser_edge.description import Accuracy, ModelDescription, Normalization
from ser_edge.errors import SerEdgeError
from ser_edge.features import Features
from ser_train.atomic import replacing
from ser_train.corpus import EMOTIONS, Utterance, digest, unique
from ser_train.dataset import corpus_features
from ser_train.networks import NETWORKS, Network
from ser_train.report import classification_text, picture_confusion, picture_curves
from ser_train.run import Answers, RunDirectory, Settings
from ser_train.scores import score
from ser_train.splits import PROTOCOLS, Split

__all__ = ["TrainingError", "fit"]

_ANSWERS = 600  # utterances whose answers are kept at least: the gates of export want 500
_VERSIONS = ("ser-edge", "keras", "tensorflow", "numpy", "soundfile", "soxr", "scikit-learn")


class TrainingError(SerEdgeError):
    """A training that came to nothing."""


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
    settings = replace(settings, corpus=digest(utterances))
    run = RunDirectory(out / settings.name)
    if run.finished and run.settings == settings:
        return run
    network = NETWORKS[settings.network]
    split = PROTOCOLS[settings.protocol].split(utterances, settings.fold, settings.seed)
    features = _features(utterances, network, jobs)
    train, validation = (_rows(features, part) for part in (split.train, split.validation))
    normalization = _normalization(train)
    model, progress = _train(
        run,
        settings,
        network,
        (normalization.apply(train), _labels(split.train)),
        (normalization.apply(validation), _labels(split.validation)),
        bar,
    )
    _finish(run, settings, network, split, features, normalization, model, progress)
    return run


def _features(utterances: Sequence[Utterance], network: Network, jobs: int) -> dict[str, Features]:
    """Each recording's features by its digest; of the whole corpus, so that all folds and seeds share one cache."""
    recordings = unique(utterances)
    rows = corpus_features(recordings, network.features, jobs)
    return {u.digest: row for u, row in zip(recordings, rows, strict=True)}


def _rows(features: dict[str, Features], utterances: Sequence[Utterance]) -> npt.NDArray[np.float32]:
    return np.stack([features[u.digest] for u in utterances])


def _train(
    run: RunDirectory,
    settings: Settings,
    network: Network,
    train: tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]],
    validation: tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]],
    show_bar: bool,
) -> tuple[keras.Model, _Progress]:
    """Runs the epochs that are left; returns the model with the best weights, and how it went."""
    run.checkpoint.mkdir(parents=True, exist_ok=True)  # now, so that nothing is trained that can't be kept
    keras.utils.set_random_seed(settings.seed)
    epochs = settings.epochs or network.epochs
    model, progress = _resume(run, settings)
    if model is None:
        model = network.build(train[0].shape[1:], len(EMOTIONS))
        model.compile(
            keras.optimizers.Adam(network.learning_rate),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
    hidden = None if show_bar else True  # None: hidden where standard error is no terminal
    with tqdm(desc=settings.name, total=epochs, initial=progress.epoch, unit=" epochs", disable=hidden) as bar:
        while progress.epoch < epochs and progress.epoch - progress.best_epoch < network.patience:
            started = time.perf_counter()
            epoch = progress.epoch
            _reseed(model, settings.seed, epoch)
            order = np.random.default_rng([settings.seed, epoch]).permutation(len(train[0]))
            result = model.fit(
                train[0][order],
                train[1][order],
                batch_size=network.batch_size,
                epochs=epoch + 1,
                initial_epoch=epoch,
                shuffle=False,
                validation_data=validation,
                verbose=0,
            )
            now = {name: float(values[0]) for name, values in result.history.items()}
            if not np.isfinite(now["loss"]):
                raise TrainingError(
                    f"{settings.name}: the loss is {now['loss']} in epoch {epoch + 1}; try another seed"
                )
            best = now["val_accuracy"] > progress.best_accuracy
            progress = _Progress(
                epoch + 1,
                now["val_accuracy"] if best else progress.best_accuracy,
                epoch + 1 if best else progress.best_epoch,
                (*progress.history, now),
            )
            _save(run, settings, model, progress, best)
            bar.set_postfix(loss=f"{now['loss']:.3f}", val_accuracy=f"{now['val_accuracy']:.3f}", refresh=False)
            bar.update()
            if bar.disable:
                figures = "  ".join(f"{name} {value:.4f}" for name, value in now.items())
                line = f"{settings.name}  epoch {epoch + 1}/{epochs}  {figures}  {time.perf_counter() - started:.1f} s"
                print(line, file=sys.stderr, flush=True)
    model.load_weights(run.checkpoint / "best.weights.h5")
    return model, progress


def _reseed(model: keras.Model, seed: int, epoch: int) -> None:
    """Puts every dropout's generator where this epoch begins, whatever was drawn before."""
    for place, layer in enumerate(model._flatten_layers()):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(np.random.default_rng([seed, epoch, place]).integers(0, 2**31, 2))


def _save(run: RunDirectory, settings: Settings, model: keras.Model, progress: _Progress, best: bool) -> None:
    """Saves the state after an epoch. The progress file names the weights that belong to it, and is written last."""
    if best:
        with replacing(run.checkpoint / "best.weights.h5") as unfinished:
            model.save_weights(unfinished)
    model.save(run.checkpoint / f"epoch{progress.epoch}.keras")
    run.write("checkpoint/progress.json", {"settings": asdict(settings), **asdict(progress)})
    (run.checkpoint / f"epoch{progress.epoch - 1}.keras").unlink(missing_ok=True)


def _resume(run: RunDirectory, settings: Settings) -> tuple[keras.Model | None, _Progress]:
    """The state of a training that was killed, if there is one with these settings."""
    try:
        state = run.read("checkpoint/progress.json")
    except (OSError, json.JSONDecodeError):
        return None, _Progress()
    if Settings(**state.pop("settings")) != settings:
        return None, _Progress()
    progress = _Progress(**{**state, "history": tuple(state["history"])})
    return keras.models.load_model(run.checkpoint / f"epoch{progress.epoch}.keras"), progress


def _finish(
    run: RunDirectory,
    settings: Settings,
    network: Network,
    split: Split,
    recordings: dict[str, Features],
    normalization: Normalization,
    model: keras.Model,
    progress: _Progress,
) -> None:
    """Tests the network and writes everything a run directory holds."""
    kept = _kept(split)
    features = _rows(recordings, kept)
    answers = Answers(
        features,
        _labels(kept),
        np.array([u.path.stem for u in kept]),
        np.array([u.actor for u in kept]),
        model.predict(normalization.apply(features), batch_size=256, verbose=0),
        np.arange(len(kept)) < len(split.test),
    )
    test = answers.of_test()
    scores = score(test.labels, test.probabilities)
    description = ModelDescription(
        name=settings.network,
        labels=EMOTIONS,
        features=network.features,
        normalization=normalization,
        accuracy=Accuracy(settings.protocol, 1, 1, round(scores.wa, 2), round(scores.uar, 2), round(scores.f1, 2)),
        training={
            "run": settings.name,
            "data": "RAVDESS speech, CC BY-NC-SA 4.0",
            "not_heard": _not_heard(split),
        },
    )
    (run.path / "run.json").unlink(missing_ok=True)  # of an older training: from here on the directory isn't whole
    bare = network.build(features.shape[1:], len(EMOTIONS))  # never compiled: saves without an optimizer
    bare.set_weights(model.get_weights())
    bare.save(run.path / "model.keras")
    run.write("description.json", description.to_json())
    run.write("history.json", progress.history)
    run.write("report.txt", classification_text(test))
    run.write_answers(answers)
    picture_confusion(test, settings.name, run.path / "confusion.png")
    picture_curves(progress.history, progress.best_epoch, settings.name, run.path / "curves.png")
    parts = {name: len(part) for name, part in asdict(split).items()}
    run.write(
        "run.json",
        {
            "settings": asdict(settings),
            "metrics": asdict(scores),
            "epochs": progress.epoch,
            "best_epoch": progress.best_epoch,
            "parameters": model.count_params(),
            "utterances": {**parts, "recordings": len(recordings)},
            "versions": {name: version(name) for name in _VERSIONS},
        },
    )
    shutil.rmtree(run.checkpoint)


def _kept(split: Split) -> list[Utterance]:
    """The test first; then, if these are few, others until there are enough to check numbers on."""
    others = unique([*split.validation, *split.train])
    return [*split.test, *others[: max(0, _ANSWERS - len(split.test))]]


def _normalization(features: npt.NDArray[np.float32]) -> Normalization:
    """Mean and deviation of each coefficient over the training set's frames."""
    mean = features.mean((0, 1), dtype=np.float64)
    deviation = np.maximum(features.std((0, 1), dtype=np.float64), 1e-3)  # dB; a constant coefficient stays small
    return Normalization(tuple(mean.astype(np.float32).tolist()), tuple(deviation.astype(np.float32).tolist()))


def _labels(utterances: Sequence[Utterance]) -> npt.NDArray[np.int64]:
    return np.array([u.label for u in utterances], np.int64)


def _not_heard(split: Split) -> list[int]:
    """Actors of the test that neither trained the network nor stopped its training."""
    heard = {u.actor for u in (*split.train, *split.validation)}
    return sorted({u.actor for u in split.test} - heard)
