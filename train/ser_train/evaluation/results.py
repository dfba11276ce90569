"""Many runs become rows of one table, `train/results.json`, and each run gets its calibration and pooled accuracy."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ser_edge.errors import SerEdgeError
from ser_edge.models.loader import open_model
from ser_edge.models.metadata import Accuracy, ModelMetadata
from ser_edge.models.network import apply_temperature
from ser_edge.models.runtimes.base import RUNTIMES
from ser_train.data.splits import PROTOCOLS
from ser_train.evaluation.calibration import calibrate
from ser_train.evaluation.metrics import joined, pooled
from ser_train.runs.grouping import RunGroup, check_calibration, group_runs
from ser_train.runs.run_directory import Answers, RunDirectory

REPORTED = ("notebook", "utterance", "speaker")  # protocols whose accuracy is reported
# Of a file's and its network's probabilities, the mean total variation distance: rounded weights are far below, another
# seed's network above.
_UNLIKE = 0.08
_PRECISIONS = ("float32", "float16", "int8", "int8-per-tensor")

Row = dict[str, Any]  # of results.json


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` computes; nothing of it is written yet."""

    rows: list[Row]  # of results.json
    metadata: dict[RunDirectory, ModelMetadata]  # the runs', calibrated, with the accuracy an exported model states
    incomplete: list[str]  # what has no row or no calibration, since runs or model files are missing; sentences


def evaluate(runs: Sequence[RunDirectory], exported: Path | None = None) -> Evaluation:
    """Calibrates finished runs, and pools them by network and protocol.

    The `speaker` runs of other folds calibrate a `speaker` run of the same network, and all of them the one of `all`:
    always on answers about speakers whom the answering network wasn't trained on, and the calibrated one isn't tested
    on. The accuracy in a run's metadata is the cross-validated one, not that of one lucky fold.

    Args:
        runs: of any networks and protocols.
        exported: a folder of model files that ser-export made of these runs; each kind that is there for all runs of a
            row gets a row of its own, measured in the runtime that serves it.

    Raises:
        SerEdgeError: no run at all, runs that don't belong together, a seed that lacks a fold, or a file of another
            training.
        ModelError: a model file that can't be used.
    """
    groups = group_runs(runs)
    check_calibration(groups)
    for group in groups.values():
        if group.protocol in REPORTED:
            group.require_all_folds()
    metadata = {
        run: _calibrated(run, calibration_answers(run, groups)) for group in groups.values() for run in group.runs
    }

    def calibrated_answers(run: RunDirectory, file: Path) -> Answers:
        test = run.answers.of_test()
        return replace(test, probabilities=apply_temperature(test.probabilities, metadata[run].temperature))

    rows, incomplete = [], []
    for (label, protocol), group in groups.items():
        if protocol == "all" and (label, "speaker") not in groups:
            incomplete.append(f"{label}: without runs of speaker, that of all gets neither calibration nor accuracy")
        if protocol not in REPORTED:
            continue
        rows.append(_row(group, "keras", "float32", lambda run: run.path / "model.keras", calibrated_answers))
        shipped = groups[label, "all"].runs if protocol == "speaker" and (label, "all") in groups else []
        for run in (*group.runs, *shipped):
            metadata[run] = replace(metadata[run], accuracy=_accuracy(rows[-1]))
        for suffix, precision in product(RUNTIMES, _PRECISIONS):
            if exported is None:
                break
            file = partial(_file, exported, suffix=suffix, precision=precision)
            lacking = [run.path.name for run in group.runs if not file(run).is_file()]
            if not lacking:
                rows.append(_row(group, suffix[1:], precision, file, _file_answers))
            elif len(lacking) < len(group.runs):
                incomplete.append(
                    f"{label}: no row of its {precision} {suffix} files, since {len(lacking)} of {len(group.runs)} "
                    f"runs lack one: {', '.join(lacking)}"
                )
    return Evaluation(rows, metadata, incomplete)


def update_runs(evaluation: Evaluation) -> None:
    """Writes temperature, threshold and accuracy into the runs, from where ser-export takes them."""
    for run, metadata in evaluation.metadata.items():
        if metadata != run.metadata:
            run.write("description.json", metadata.to_json())


def read_rows(file: Path) -> list[Row]:
    """Rows of an earlier table; none where there is no such file."""
    return json.loads(file.read_text("utf-8")) if file.exists() else []


def with_other_networks(rows: Sequence[Row], earlier: Sequence[Row]) -> list[Row]:
    """Rows, and those of networks that have none among them from an earlier table, sorted by network."""
    evaluated = {row["network"] for row in rows}
    return sorted([*rows, *(row for row in earlier if row["network"] not in evaluated)], key=lambda row: row["network"])


def lost_rows(rows: Sequence[Row], earlier: Sequence[Row]) -> list[str]:
    """Of which files an earlier table has rows of these networks, and the rows have none; a phrase of each."""
    evaluated, kinds = {row["network"] for row in rows}, {_kind(row) for row in rows}
    return [_kind(row) for row in earlier if row["network"] in evaluated and _kind(row) not in kinds]


def _kind(row: Row) -> str:
    return f"{row['network']} by {row['protocol']}, {row['precision']} .{row['format']}"


def calibration_answers(run: RunDirectory, groups: Mapping[tuple[str, str], RunGroup]) -> list[Answers]:
    """What a run is calibrated on; empty for runs that stay as they are.

    Args:
        run: a finished run.
        groups: runs by label and protocol.
    """
    speaker = groups.get((run.settings.label, "speaker"))
    if speaker is None or run.settings.protocol not in ("speaker", "all"):
        return []
    own = run.settings.fold if run.settings.protocol == "speaker" else None
    return [other.answers.of_test() for other in speaker.runs if other.settings.fold != own]


def _calibrated(run: RunDirectory, answers: Sequence[Answers]) -> ModelMetadata:
    """A run's metadata with fitted temperature and threshold; without answers, as it is."""
    if not answers:
        return run.metadata
    labels, probabilities, _ = joined(answers)
    calibration = calibrate(labels, probabilities)
    return replace(run.metadata, temperature=calibration.temperature, threshold=calibration.threshold)


def _row(
    group: RunGroup,
    suffix: str,
    precision: str,
    file: Callable[[RunDirectory], Path],
    answers: Callable[[RunDirectory, Path], Answers],
) -> Row:
    """A row of the table: one kind of file of one network by one protocol."""
    first = group.runs[0]
    intervals = pooled([[answers(run, file(run)) for run in folds.values()] for folds in group.seeds.values()])
    return {
        "network": group.label,
        "protocol": group.protocol,
        "corpus": first.metadata.corpus,
        "labels": len(first.metadata.labels),
        "format": suffix,
        "precision": precision,
        "seeds": len(group.seeds),
        "folds": PROTOCOLS[group.protocol].folds,
        "parameters": first.read("run.json")["parameters"],
        "bytes": max(file(run).stat().st_size for run in group.runs),
        **{metric: asdict(interval) for metric, interval in intervals.items()},
    }


def _accuracy(row: Row) -> Accuracy:
    wa, uar, f1 = (round(row[metric]["mean"], 2) for metric in ("wa", "uar", "f1"))
    return Accuracy(row["protocol"], row["folds"], row["seeds"], wa, uar, f1)


def _file_answers(run: RunDirectory, file: Path) -> Answers:
    """A model file's, in the runtime that serves it; raises SerEdgeError if it answers as another network does."""
    test, model = run.answers.of_test(), open_model(file)
    probabilities = model.probabilities(test.features)
    differences = np.abs(probabilities - apply_temperature(test.probabilities, model.metadata.temperature))
    if differences.sum(axis=1).mean() / 2 > _UNLIKE:
        raise SerEdgeError(
            f"{file}: exported from another training than the one in {run.path}; export it again",
            code="runs-mismatched",
        )
    return replace(test, probabilities=probabilities)


def _file(folder: Path, run: RunDirectory, suffix: str, precision: str) -> Path:
    """As ser-export names it."""
    return folder / f"{run.path.name}{'' if precision == 'float32' else f'-{precision}'}{suffix}"
