"""Many runs become one table: `train/results.json`, and the Markdown that pages include."""

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
from ser_train.runs.grouping import RunGroup, check_calibration, group_runs
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
        SerEdgeError: no run at all, runs that don't belong together, or a seed that lacks a fold.
        ModelError: a model file that can't be used.
    """
    groups = group_runs(runs)
    check_calibration(groups)
    for group in groups.values():
        if group.protocol in FIGURES:
            group.require_all_folds()
    rows = []
    for (label, protocol), group in groups.items():
        members = group.runs
        related = {other: groups[label, other] for other in PROTOCOLS if (label, other) in groups}
        if protocol == "speaker":
            for run in members:
                inner = related["inner"].seeds.values() if "inner" in related else []
                _calibrate(run, [answers for folds in inner for answers in unseen_answers(folds, run.settings.fold)])
        if protocol == "all":
            tested = related["speaker"].runs if "speaker" in related else []
            for run in members:
                _calibrate(run, [other.answers.of_test() for other in tested])
        if protocol not in FIGURES:
            continue
        row = _row(group, "keras", "float32", lambda run: run.path / "model.keras", _kept_answers)
        rows.append(row)
        accuracy = _accuracy(row)
        shipped = related["all"].runs if protocol == "speaker" and "all" in related else []
        for run in (*members, *shipped):
            run.write("description.json", replace(run.metadata, accuracy=accuracy).to_json())
        for suffix, precision in product(RUNTIMES, _PRECISIONS):
            files = {run.path: _file(exported, run, suffix, precision) for run in members} if exported else {}
            if files and all(path.is_file() for path in files.values()):
                place = {run: files[run] for run in files}
                rows.append(_row(group, suffix[1:], precision, lambda r, at=place: at[r.path], _file_answers))
    return rows


def _row(
    group: RunGroup,
    suffix: str,
    precision: str,
    file: Callable[[RunDirectory], Path],
    answers: Callable[[RunDirectory, Path], Answers],
) -> dict[str, Any]:
    """A row of the table: one kind of file of one network by one protocol."""
    members = group.runs
    about = members[0].metadata
    intervals = pooled([[answers(run, file(run)) for run in folds.values()] for folds in group.seeds.values()])
    return {
        "network": group.label,
        "protocol": group.protocol,
        "corpus": about.training.get("data", "").partition(",")[0],
        "labels": len(about.labels),
        "format": suffix,
        "precision": precision,
        "seeds": len(group.seeds),
        "folds": PROTOCOLS[group.protocol].folds,
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
