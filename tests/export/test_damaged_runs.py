"""A run directory that is none, or whose files are damaged or don't belong together, is refused in one line."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser_export.errors import ExportError
from ser_export.from_keras.run import Run, read_run
from tests import messages

pytestmark = pytest.mark.slow


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with messages.raises(ExportError, "run-not-found"):
        read_run(tmp_path)


@pytest.mark.parametrize("name", ["answers.npz", "model.keras"])
@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.x", b"<html>"])
def test_a_placeholder_in_place_of_a_runs_file_is_named(name: str, content: bytes, run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    (tmp_path / "run" / name).write_bytes(content)
    with messages.raises(ExportError, "run-damaged") as refusal:
        read_run(tmp_path / "run")
    assert str(refusal.value).startswith(f"{tmp_path / 'run' / name}: ")


def test_cut_off_answers_are_a_damaged_run(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    answers = tmp_path / "run" / "answers.npz"
    answers.write_bytes(answers.read_bytes()[:-30])
    with messages.raises(ExportError, "run-damaged"):
        read_run(tmp_path / "run")


@pytest.mark.parametrize("flag", [0x01, 0x20], ids=["encrypted", "patched"])
def test_a_flag_that_zip_files_may_not_have_is_a_damaged_run(flag: int, run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    answers = tmp_path / "run" / "answers.npz"
    content = bytearray(answers.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= flag
    answers.write_bytes(content)
    with messages.raises(ExportError, "run-damaged"):
        read_run(tmp_path / "run")


DAMAGED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "fewer labels": lambda arrays: arrays | {"labels": arrays["labels"][:-1]},
    "fewer coefficients": lambda arrays: arrays | {"features": arrays["features"][..., 1:]},
    "fewer frames": lambda arrays: arrays | {"features": arrays["features"][:, 1:]},
    "text": lambda arrays: arrays | {"features": arrays["features"].astype(str)},
    "fractions of labels": lambda arrays: arrays | {"labels": arrays["labels"] / 2},
    "another label": lambda arrays: arrays | {"labels": arrays["labels"] + 8},
    "no test": lambda arrays: arrays | {"test": ~arrays["test"] & arrays["test"]},
    "nothing": lambda arrays: {name: array[:0] for name, array in arrays.items()},
    "no rows": lambda arrays: arrays | {"features": arrays["features"][0, 0, 0]},
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_answers_that_are_not_the_networks_are_a_damaged_run(damage: str, run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    with np.load(run.path / "answers.npz") as arrays:
        np.savez(tmp_path / "run" / "answers.npz", **DAMAGED[damage](dict(arrays)))
    with messages.raises(ExportError, "run-damaged"):
        read_run(tmp_path / "run")


NESTED = pytest.param("[" * 100_000, id="nested")


@pytest.mark.parametrize("content", ['{"settings": null}', "[]", '"settings"', "{", NESTED])
def test_settings_of_another_form_are_a_damaged_run(content: str, run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(content)
    with messages.raises(ExportError, "run-damaged"):
        read_run(tmp_path / "run")


def test_a_run_of_another_length_than_its_network_has_is_damaged(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    longer = replace(run.metadata, features=replace(run.metadata.features, seconds=1.0))
    (tmp_path / "run" / "description.json").write_text(longer.to_json())
    with messages.raises(ExportError, "run-damaged"):
        read_run(tmp_path / "run")


def test_a_run_of_fewer_labels_than_its_network_has_is_damaged(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    fewer = replace(run.metadata, labels=run.metadata.labels[1:])
    (tmp_path / "run" / "description.json").write_text(fewer.to_json())
    with np.load(run.path / "answers.npz") as arrays:
        columns = dict(arrays)
    columns |= {"probabilities": columns["probabilities"][:, 1:], "labels": np.maximum(columns["labels"] - 1, 0)}
    np.savez(tmp_path / "run" / "answers.npz", **columns)
    with messages.raises(ExportError, "run-damaged"):
        read_run(tmp_path / "run")
