"""The state of a training between two epochs, saved so that a killed training continues to the same weights."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from ser_train.data.atomic import atomic_write
from ser_train.data.utterance import CorpusError
from ser_train.runs.run_directory import RunDirectory
from ser_train.runs.settings import Settings


@dataclass(frozen=True)
class Progress:
    """How far a training is, the weights aside."""

    epoch: int = 0  # epochs done
    best_accuracy: float = -1.0
    best_epoch: int = 0
    history: tuple[dict[str, float], ...] = ()


class Checkpoint:
    """The checkpoint of a run that is being trained.

    Args:
        run: whose `checkpoint` folder holds it; the folder is made, so that nothing is trained that can't be saved.
        settings: of the training; a checkpoint of others is ignored.
    """

    def __init__(self, run: RunDirectory, settings: Settings):
        self._run, self._settings = run, settings
        run.checkpoint.mkdir(parents=True, exist_ok=True)

    def progress(self) -> Progress:
        """The progress that is saved; none if there is no checkpoint of these settings."""
        try:
            state = self._run.read("checkpoint/progress.json")
        except CorpusError:
            return Progress()
        if not Settings.of(state.pop("settings")).is_training_of(self._settings):
            return Progress()
        progress = Progress(**{**state, "history": tuple(state["history"])})
        return Progress() if progress.best_accuracy >= 0 and not self._best.exists() else progress  # 0.1 had another

    def save(self, model: keras.Model, progress: Progress, best: bool) -> None:
        """Saves the state after an epoch; `progress.json` names the weights that belong to it, and is written last."""
        if best:
            with atomic_write(self._best) as unfinished:  # not by Keras: where the disk is full, HDF5 ends the process
                np.savez(unfinished, *model.get_weights())
        with atomic_write(self._weights(progress.epoch)) as unfinished:
            model.save(unfinished)
        self._run.write("checkpoint/progress.json", {"settings": asdict(self._settings), **asdict(progress)})
        self._weights(progress.epoch - 1).unlink(missing_ok=True)

    def restore(self, model: keras.Model, epoch: int) -> None:
        """Restores the weights and the optimizer's variables into a compiled model.

        The file's model isn't loaded as a whole: Keras doesn't save what is excluded from weight decay.
        """
        model.optimizer.build(model.trainable_variables)
        model.load_weights(self._weights(epoch))

    def restore_best(self, model: keras.Model) -> None:
        """Restores the weights of the epoch with the best validation accuracy."""
        with np.load(self._best) as arrays:
            model.set_weights([arrays[name] for name in arrays.files])

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self._run.checkpoint)

    @property
    def _best(self) -> Path:
        return self._run.checkpoint / "best.npz"

    def _weights(self, epoch: int) -> Path:
        return self._run.checkpoint / f"epoch{epoch}.keras"
