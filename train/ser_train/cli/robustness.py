"""The command `ser-train conditions`: measures runs, keeps what was measured in them, and prints one table.

A run keeps its figures in `conditions.json` and the answers behind them in `conditions.npz`. A run that was measured
is not measured again, unless its network changed, another file is asked about, or the code that makes its inputs.
"""

import argparse
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

import ser_train.evaluation.corruptions
from ser_edge.models.loader import open_model
from ser_edge.models.network import Model
from ser_train.data.atomic import atomic_write, write_text
from ser_train.data.corpus_loader import CorpusError, Utterance, read_corpus
from ser_train.data.download import locate
from ser_train.data.feature_cache import front_end_code, front_end_of
from ser_train.evaluation.robustness import RobustnessAnswers, markdown, measure, pool
from ser_train.networks.keras_backend import load
from ser_train.reporting.tables import caution
from ser_train.runs.run_directory import RunDirectory
from ser_train.runs.settings import Settings

__all__ = ["KerasModel", "conditions", "of_test"]


class KerasModel(Model):
    """A run's network in Keras, that normalises and calibrates as its exported file will."""

    def __init__(self, run: RunDirectory):
        path = run.path / "model.keras"
        super().__init__(run.metadata, _KerasRuntime(path), path, front_end_of(run.metadata.features))


class _KerasRuntime:
    """A `Runtime` for Keras models."""

    name = "Keras"
    input_shape = ()

    def __init__(self, path: Path):
        load()
        import keras

        self._model = keras.models.load_model(path, compile=False)

    def run(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        answers: npt.NDArray[np.float32] = self._model.predict(inputs, batch_size=64, verbose=0)
        return answers


def of_test(run: RunDirectory, corpus: Sequence[Utterance]) -> list[Utterance]:
    """Those that gave the run its figures.

    Raises:
        CorpusError: some are not in the corpus.
    """
    by_name = {u.name: u for u in corpus}
    names = list(dict.fromkeys(run.answers.of_test().names.tolist()))  # `notebook` tests some twice
    if missing := [name for name in names if name not in by_name]:
        raise CorpusError(
            f"{run.path}: {len(missing)} of the {len(names)} utterances it was tested on are not there, "
            f"like {missing[0]}; give the corpus it was trained on with --data"
        )
    return [by_name[name] for name in names]


def conditions(options: argparse.Namespace) -> int:
    """The command `ser-train conditions`; returns the exit code."""
    runs = [RunDirectory(path) for path in options.runs]
    for run in runs:
        if not run.finished:
            print(f"ser-train: {run.path}: not a finished run, left out", file=sys.stderr)
    groups = _groups([run for run in runs if run.finished])
    chosen = [run for folds in groups.values() for run in folds.values()]
    if waiting := [run for run in chosen if not _measured(run, options.model)]:
        corpus = read_corpus(locate(options.data), options.jobs)
        for run in waiting:
            _write(run, options.model, corpus, options.jobs)
    figures = pool([[_read(run) for run in folds.values()] for folds in groups.values()])
    table = markdown(figures, _title(groups, options.model)) + _caution(groups)
    if options.markdown:
        write_text(options.markdown, table)
    print(table, end="")
    return 0


_Groups = dict[int, dict[int, RunDirectory]]  # by seed, then by fold


def _groups(runs: Sequence[RunDirectory]) -> _Groups:
    """Sorted, and checked that one figure can be made of them."""
    if not runs:
        raise CorpusError("none of these is a finished run; train some with ser-train")
    groups: _Groups = defaultdict(dict)
    for run in sorted(runs, key=lambda run: (run.settings.seed, run.settings.fold)):
        settings = run.settings
        if settings.fold in groups[settings.seed]:
            raise CorpusError(f"{run.path}: there is another run of this fold and seed; give runs of one network")
        groups[settings.seed][settings.fold] = run
    if len({replace(run.settings, fold=0, seed=0, corpus="") for run in runs}) > 1:
        raise CorpusError("these are runs of several networks, protocols or recipes; one table is for one of them")
    if len({tuple(folds) for folds in groups.values()}) > 1:
        raise CorpusError(f"seeds {sorted(groups)} have different folds; their mean would compare different voices")
    return dict(groups)


def _title(groups: _Groups, model: Path | None) -> str:
    settings = next(iter(next(iter(groups.values())).values())).settings
    folds, seeds = len(next(iter(groups.values()))), len(groups)
    counts = f"{folds} fold{'s' * (folds > 1)} x {seeds} seed{'s' * (seeds > 1)}"
    return f"`{model.name if model else settings.network}`, protocol `{settings.protocol}`, {counts}"


def _caution(groups: _Groups) -> str:
    """A line for figures that mean little, or nothing."""
    runs = list(next(iter(groups.values())).values())
    voices = {actor for run in runs for actor in run.answers.of_test().actors.tolist()}
    but = caution(runs[0].settings.protocol, len(voices))
    return f"\nThese figures {but}.\n" if but else ""


def _measured(run: RunDirectory, model: Path | None) -> bool:
    """Whether this very network was measured by this very code."""
    try:
        known = run.read("conditions.json")["of"] == _key(run, model)
    except (OSError, ValueError, KeyError):
        return False
    return known and (run.path / "conditions.npz").exists()


def _write(run: RunDirectory, model: Path | None, corpus: Sequence[Utterance], jobs: int) -> None:
    """Measures; the figures are written last, and say what the answers are of."""
    utterances, settings = of_test(run, corpus), run.settings
    answerer = _exported(model, settings) if model else KerasModel(run)
    speech = [u for u in corpus if u.corpus == "ravdess" or u.is_custom]
    (run.path / "conditions.json").unlink(missing_ok=True)
    heard = measure(answerer, utterances, speech, jobs, run.path.name)
    with atomic_write(run.path / "conditions.npz") as unfinished:
        np.savez_compressed(unfinished, **asdict(heard))
    about = {
        "protocol": settings.protocol,
        "fold": settings.fold,
        "seed": settings.seed,
        "file": model.name if model else "keras",
        "of": _key(run, model),
    }
    run.write("conditions.json", about | asdict(pool([[heard]])))


def _read(run: RunDirectory) -> RobustnessAnswers:
    with np.load(run.path / "conditions.npz") as arrays:
        return RobustnessAnswers(**arrays)


def _exported(path: Path, settings: Settings) -> Model:
    model = open_model(path)
    if (source := model.metadata.training.get("run")) != settings.name:
        raise CorpusError(f"{path}: exported from {source}, which may have heard the test voices of {settings.name}")
    return model


def _key(run: RunDirectory, model: Path | None) -> str:
    """Of what the answers depend on: the network, its description but for its figures, and the code."""
    code = [*front_end_code(), Path(ser_train.evaluation.corruptions.__file__)]
    content = [path.read_bytes() for path in (model or run.path / "model.keras", *code)]
    metadata = json.dumps(asdict(replace(run.metadata, accuracy=None)), sort_keys=True)
    return hashlib.blake2b(b"".join(content) + metadata.encode(), digest_size=16).hexdigest()
