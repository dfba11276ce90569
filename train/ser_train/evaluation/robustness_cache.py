"""What was measured of a run, kept in it: figures in `conditions.json`, the answers behind them in `conditions.npz`.

Those of a model file that was exported from it have the file's name in theirs, and aren't the network's. A run is
measured again only if its network, the model file asked for, or the code that makes its inputs has changed.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

import ser_train.evaluation.corruptions
from ser_edge.models.loader import open_model
from ser_edge.models.network import Model
from ser_train.data.atomic import atomic_write
from ser_train.data.feature_cache import front_end_code
from ser_train.data.utterance import CorpusError, Utterance
from ser_train.evaluation.corruptions import CORRUPTIONS
from ser_train.evaluation.keras_model import open_run
from ser_train.evaluation.robustness import RobustnessAnswers, RobustnessFigures, measure, pool
from ser_train.runs.run_directory import ROBUSTNESS, RunDirectory
from ser_train.runs.settings import Settings

KERAS = "keras"  # in the place of a file's name
CORRUPTED = "conditions"  # key of the figures of whole recordings


def is_measured(run: RunDirectory, model: Path | None) -> bool:
    """Whether this very network was measured by this very code.

    Args:
        run: a finished run.
        model: a file exported from the run; None for its Keras network.
    """
    figures, answers = _kept(model)
    try:
        known = run.read(figures)["of"] == _digest(run, model)
    except (CorpusError, KeyError):
        return False
    return known and (run.path / answers).exists()


def measure_run(run: RunDirectory, model: Path | None, corpus: Sequence[Utterance], jobs: int) -> None:
    """Measures a network on its test utterances, and keeps answers and figures in the run; the figures last.

    Args:
        run: a finished run.
        model: a file exported from the run; None for its Keras network.
        corpus: what the run was trained and tested on.
        jobs: processes that extract features; -1 for a process a core.

    Raises:
        CorpusError: test utterances that the corpus lacks, or a file exported from another run.
        ModelError: a file that can't be used.
    """
    utterances, settings = evaluated_utterances(run, corpus), run.settings
    network = _exported(model, settings) if model else open_run(run)
    speech = [u for u in corpus if u.corpus == "ravdess" or u.is_custom]
    kept_figures, kept_answers = _kept(model)
    (run.path / kept_figures).unlink(missing_ok=True)
    answers = measure(network, utterances, speech, jobs, run.path.name)
    with atomic_write(run.path / kept_answers) as unfinished:
        np.savez_compressed(unfinished, **asdict(answers))
    about = {
        "protocol": settings.protocol,
        "fold": settings.fold,
        "seed": settings.seed,
        "file": model.name if model else KERAS,
        "of": _digest(run, model),
    }
    run.write(kept_figures, about | figures_to_json(pool([[answers]])))


def network_answers(run: RunDirectory) -> RobustnessAnswers | None:
    """What was measured of a run's network; None if nothing was. Older versions kept a model file's in the same place.

    Raises:
        CorpusError: measured on other corruptions than today's.
    """
    figures, _ = _kept(None)
    if not (run.path / figures).exists() or run.read(figures).get("file", KERAS) != KERAS:
        return None
    return read_answers(run)


def read_answers(run: RunDirectory, model: Path | None = None) -> RobustnessAnswers:
    """What was measured.

    Args:
        run: a finished run.
        model: a file exported from the run; None for its Keras network.

    Raises:
        CorpusError: measured on other corruptions than today's.
    """
    kept_figures, kept_answers = _kept(model)
    if [figures["name"] for figures in run.read(kept_figures)[CORRUPTED]] != list(CORRUPTIONS):
        raise CorpusError(
            f"{run.path}: measured on other corruptions than today's; run ser-train robustness again",
            code="run-outdated",
        )
    with np.load(run.path / kept_answers) as arrays:
        return RobustnessAnswers(**arrays)


def evaluated_utterances(run: RunDirectory, corpus: Sequence[Utterance]) -> list[Utterance]:
    """The utterances behind a run's accuracy, each once.

    Raises:
        CorpusError: some are not in the corpus.
    """
    by_name = {u.name: u for u in corpus}
    names = list(dict.fromkeys(run.answers.of_test().names.tolist()))  # `notebook` tests some twice
    if missing := [name for name in names if name not in by_name]:
        raise CorpusError(
            f"{run.path}: {len(missing)} of the {len(names)} utterances it was tested on are not there, "
            f"like {missing[0]}; give the corpus it was trained on with --data",
            code="corpus-not-found",
        )
    return [by_name[name] for name in names]


def _kept(model: Path | None) -> tuple[str, str]:
    """Names of the files with figures, whose keys are those of 0.1, and with answers.

    >>> _kept(None), _kept(Path("exported/crnn.onnx"))
    (('conditions.json', 'conditions.npz'), ('conditions-crnn.onnx.json', 'conditions-crnn.onnx.npz'))
    """
    of = f"{ROBUSTNESS}-{model.name}" if model else ROBUSTNESS
    return f"{of}.json", f"{of}.npz"


def _exported(path: Path, settings: Settings) -> Model:
    model = open_model(path)
    if (source := model.metadata.training.get("run")) != settings.name:
        raise CorpusError(
            f"{path}: exported from {source}, which may have been trained on the test speakers of {settings.name}",
            code="runs-mismatched",
        )
    return model


def _digest(run: RunDirectory, model: Path | None) -> str:
    """Of what the answers depend on: the network, its metadata but for its accuracy, and the code."""
    code = [*front_end_code(), Path(ser_train.evaluation.corruptions.__file__)]
    content = [path.read_bytes() for path in (model or run.path / "model.keras", *code)]
    metadata = json.dumps(asdict(replace(run.metadata, accuracy=None)), sort_keys=True)
    return hashlib.blake2b(b"".join(content) + metadata.encode(), digest_size=16).hexdigest()


def figures_to_json(figures: RobustnessFigures) -> dict[str, Any]:
    """With the keys of 0.1."""
    written = asdict(figures)
    return {"utterances": figures.utterances, CORRUPTED: written["corrupted"], "live": written["live"]}
