"""Many runs become one table: `train/results.json`, and the Markdown that pages include."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ser_edge.models.loader import open_model
from ser_edge.models.metadata import Accuracy
from ser_edge.models.network import apply_temperature
from ser_edge.models.runtimes.base import RUNTIMES
from ser_train.data.atomic import write_text
from ser_train.data.corpus_loader import CorpusError
from ser_train.data.splits import PROTOCOLS
from ser_train.evaluation.calibration import calibrate
from ser_train.evaluation.metrics import pooled
from ser_train.evaluation.model_selection import unseen_answers
from ser_train.reporting.tables import markdown_table
from ser_train.runs.run_directory import Answers, RunDirectory

__all__ = ["evaluate", "include"]

FIGURES = ("notebook", "utterance", "speaker")  # protocols whose accuracy is reported
_PRECISIONS = ("float32", "float16", "int8", "int8-per-tensor")
BEGIN, END = "<!-- figures: made by make evaluate -->", "<!-- end of figures -->"


def evaluate(runs: Sequence[RunDirectory], exported: Path | None = None) -> list[dict[str, Any]]:
    """Pools finished runs by network and protocol, and tells each run what its model file may say.

    Args:
        runs: of any networks and protocols. Those of `inner` calibrate the `speaker` runs of the same network, and the
            `speaker` runs the one of `all`: always answers about voices that the calibrated network isn't judged on.
        exported: a folder of model files that ser-export made of these runs; each kind that is there for all runs of a
            row gets a row of its own, measured in the runtime that serves it.

    Returns:
        Rows for `results.json`. A run's description then carries its row's figures, which is what an exported model
        shows: the cross-validated accuracy, not that of one lucky fold.

    Raises:
        CorpusError: no run at all, or a seed that lacks a fold; its figure would be another protocol's.
        ModelError: a model file that can't be used.
    """
    if not runs:
        raise CorpusError("none of these is a finished run; train some with ser-train")
    if len({run.metadata.labels for run in runs}) > 1:
        raise CorpusError("these runs have different labels; a table is of one set of them")
    groups = _grouped(runs)
    rows = []
    for (label, protocol), seeds in groups.items():
        members = [run for by_fold in seeds.values() for run in by_fold.values()]
        if protocol == "speaker":
            for run in members:
                inner = [
                    {fold: r for fold, r in by_fold.items() if r.settings.recipe == run.settings.recipe}
                    for by_fold in groups.get((label, "inner"), {}).values()
                ]
                _calibrate(
                    run, [answers for by_fold in inner for answers in unseen_answers(by_fold, run.settings.fold)]
                )
        if protocol == "all":
            spoken = groups.get((label, "speaker"), {})
            for run in members:
                _calibrate(run, [other.answers.of_test() for by_fold in spoken.values() for other in by_fold.values()])
        if protocol not in FIGURES:
            continue
        row = _row(label, protocol, seeds, "keras", "float32", lambda run: run.path / "model.keras", _kept_answers)
        rows.append(row)
        accuracy = _accuracy(row)
        for run in (*members, *(r for by_fold in groups.get((label, "all"), {}).values() for r in by_fold.values())):
            if run.settings.protocol == protocol or protocol == "speaker":
                run.write("description.json", replace(run.metadata, accuracy=accuracy).to_json())
        for suffix, precision in product(RUNTIMES, _PRECISIONS):
            files = {run.path: _file(exported, run, suffix, precision) for run in members} if exported else {}
            if files and all(path.is_file() for path in files.values()):
                place = {run: files[run] for run in files}
                rows.append(
                    _row(label, protocol, seeds, suffix[1:], precision, lambda r, at=place: at[r.path], _file_answers)
                )
    return rows


_Seeds = dict[int, dict[int, RunDirectory]]  # by seed, then by fold


def _grouped(runs: Sequence[RunDirectory]) -> dict[tuple[str, str], _Seeds]:
    """By label and protocol; each seed has every fold."""
    groups: dict[tuple[str, str], _Seeds] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        s = run.settings
        if s.fold in groups[s.label, s.protocol][s.seed]:
            raise CorpusError(f"{run.path}: there is another run of {s.name}; give one of them")
        groups[s.label, s.protocol][s.seed][s.fold] = run
    for (label, protocol), seeds in groups.items():
        for seed, by_fold in seeds.items():
            missing = sorted(set(range(PROTOCOLS[protocol].folds)) - set(by_fold))
            if missing and protocol in FIGURES:
                raise CorpusError(f"{label}, {protocol}, seed {seed}: folds {missing} are not trained; use --fold all")
        members = [run for by_fold in seeds.values() for run in by_fold.values()]
        if len({(s.epochs, s.recipe, s.teachers, s.init) for s in (run.settings for run in members)}) > 1:
            raise CorpusError(f"{label}, {protocol}: trained with different settings or epochs; train anew")
        corpora = {(run.settings.fold, run.settings.corpus) for run in members}
        if len(corpora) > len({run.settings.fold for run in members}):
            raise CorpusError(f"{label}, {protocol}: trained on different data; train anew")
    for label in dict.fromkeys(label for label, _ in groups):
        related = [groups.get((label, protocol), {}) for protocol in ("inner", "speaker", "all")]
        members = [run for seeds in related for by_fold in seeds.values() for run in by_fold.values()]
        if len({(run.settings.epochs, run.settings.recipe) for run in members}) > 1:
            raise CorpusError(
                f"{label}: inner, speaker and all are trained with different settings or epochs, "
                "so one can't calibrate the other; train anew, or leave some out"
            )
    return groups


def _row(
    label: str,
    protocol: str,
    seeds: _Seeds,
    suffix: str,
    precision: str,
    file: Callable[[RunDirectory], Path],
    answers: Callable[[RunDirectory, Path], Answers],
) -> dict[str, Any]:
    """A row of the table: one kind of file of one network by one protocol."""
    members = [run for by_fold in seeds.values() for run in by_fold.values()]
    about = members[0].metadata
    intervals = pooled([[answers(run, file(run)) for run in by_fold.values()] for by_fold in seeds.values()])
    return {
        "network": label,
        "protocol": protocol,
        "corpus": about.training.get("data", "").partition(",")[0],
        "labels": len(about.labels),
        "format": suffix,
        "precision": precision,
        "seeds": len(seeds),
        "folds": PROTOCOLS[protocol].folds,
        "parameters": members[0].read("run.json")["parameters"],
        "bytes": max(file(run).stat().st_size for run in members),
        **{metric: asdict(interval) for metric, interval in intervals.items()},
    }


def _accuracy(row: dict[str, Any]) -> Accuracy:
    wa, uar, f1 = (round(row[metric]["mean"], 2) for metric in ("wa", "uar", "f1"))
    return Accuracy(row["protocol"], row["folds"], row["seeds"], wa, uar, f1)


def _kept_answers(run: RunDirectory, file: Path) -> Answers:
    """Keras's, calibrated as the run's description says."""
    test = run.answers.of_test()
    return replace(test, probabilities=apply_temperature(test.probabilities, run.metadata.temperature))


def _file_answers(run: RunDirectory, file: Path) -> Answers:
    """A model file's, in the runtime that serves it."""
    test = run.answers.of_test()
    return replace(test, probabilities=open_model(file).probabilities(test.features))


def _file(folder: Path, run: RunDirectory, suffix: str, precision: str) -> Path:
    """As ser-export names it."""
    return folder / f"{run.path.name}{'' if precision == 'float32' else f'-{precision}'}{suffix}"


def _calibrate(run: RunDirectory, answers: Sequence[Answers]) -> None:
    """Writes temperature and threshold into a run's description; without answers it keeps what it has."""
    if answers:
        labels, probabilities = (
            np.concatenate([getattr(a, name) for a in answers]) for name in ("labels", "probabilities")
        )
        found = calibrate(labels, probabilities)
        described = replace(run.metadata, temperature=found.temperature, threshold=found.threshold)
        run.write("description.json", described.to_json())


def include(rows: Sequence[dict[str, Any]], page: Path) -> None:
    """Puts the table between the page's two marks.

    Raises:
        CorpusError: the page has no marks, or the wrong way round.
    """
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise CorpusError(f"{page}: nowhere to put the figures; it needs the lines {BEGIN} and {END}")
    write_text(page, f"{before}{BEGIN}\n{markdown_table(rows)}{END}{after}")
