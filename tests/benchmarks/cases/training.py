"""One epoch of training for each of the notebook's networks: Keras's `fit`, and ser_train's step.

1,152 utterances, as many as 80 % of RAVDESS speech, of random standardised features: what they hold changes no speed.
All cores are used by both, as a user has them.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from harness.case import Settings, Table, main
from harness.timing import in_turn
from peers import notebook

from ser_train.networks.config import BaselineConfig
from ser_train.networks.zoo import NETWORKS
from ser_train.training.batches import FixedBatches
from ser_train.training.loop import train_epoch
from ser_train.training.optimizer import compile_model

UTTERANCES, BATCH, LABELS = 1152, 32, 8
KINDS = {"rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}
KERAS = "the notebook's: keras.Sequential, fit"


def measure(settings: Settings) -> list[Table]:
    """A table for each network."""
    random = np.random.default_rng(0)
    features = random.normal(size=(UTTERANCES, *notebook.SHAPE)).astype(np.float32)
    labels = random.integers(0, LABELS, UTTERANCES)
    tables = []
    for name, kind in KINDS.items():
        theirs = notebook.network(kind)
        sides: dict[str, Callable[[], Any]] = {
            KERAS: partial(theirs.fit, features, labels, batch_size=BATCH, epochs=1, verbose=0),
            "ser_train": _ours(name, features, labels),
        }
        figures = in_turn(sides, settings.rounds)
        title = f"One epoch of {name}, {UTTERANCES} utterances, batches of {BATCH}"
        tables.append(Table(name, title, KERAS, "cpu", figures))
    return tables


def _ours(name: str, features: Any, labels: Any) -> Callable[[], Any]:
    """An epoch as `ser_train.training.loop` runs it, without validation."""
    recipe = BaselineConfig(batch_size=BATCH)
    model = NETWORKS[name].build(notebook.SHAPE, LABELS)
    compile_model(model, recipe, UTTERANCES // BATCH)
    plan: Any = SimpleNamespace(batches=FixedBatches(features, labels, recipe), validation=None)
    return partial(train_epoch, model, plan, 0, 0)


if __name__ == "__main__":
    main(measure)
