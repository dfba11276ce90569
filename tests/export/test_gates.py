"""The gates let through what answers as Keras does, and nothing else: each fault below is made, and caught."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from ser_edge.description import KEY, ModelDescription, Normalization
from ser_edge.errors import ModelError
from ser_edge.features import FrontEnd
from ser_export import convert, gates
from ser_export.convert import export
from ser_export.gates import INPUTS, GateError, gate_inputs
from ser_export.run import Run


def edit_weight(model: onnx.ModelProto, ending: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for tensor in model.graph.initializer:
        if tensor.name.endswith(ending):
            changed = np.ascontiguousarray(change(numpy_helper.to_array(tensor).copy()))
            tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
            return
    raise AssertionError(f"no weight {ending}")


def damage_one_number(model: onnx.ModelProto) -> None:
    def change(weights: np.ndarray) -> np.ndarray:
        weights[0, 0, 0] += 0.5
        return weights

    edit_weight(model, "/R", change)


def swap_two_gates(model: onnx.ModelProto) -> None:
    """The classic mistake: Keras has i, f, c, o; ONNX has i, o, f, c."""

    def change(weights: np.ndarray) -> np.ndarray:
        parts = np.split(weights, 4, axis=1)
        return np.concatenate([parts[0], parts[2], parts[1], parts[3]], axis=1)

    edit_weight(model, "/W", change)


def transpose_a_kernel(model: onnx.ModelProto) -> None:
    edit_weight(model, "/R", lambda weights: weights.reshape(2, 4, 20, 20).swapaxes(2, 3).reshape(2, 80, 20))


def exchange_directions(model: onnx.ModelProto) -> None:
    edit_weight(model, "/W", lambda weights: weights[::-1])


def answer_nan(model: onnx.ModelProto) -> None:
    edit_weight(model, "/bias", lambda weights: weights * np.nan)


def edit_description(**changes: object) -> Callable[[onnx.ModelProto], None]:
    def edit(model: onnx.ModelProto) -> None:
        (stored,) = (p for p in model.metadata_props if p.key == KEY)
        stored.value = replace(ModelDescription.from_json(stored.value, "test"), **changes).to_json()

    return edit


@pytest.mark.parametrize(
    "fault",
    [
        damage_one_number,
        swap_two_gates,
        transpose_a_kernel,
        exchange_directions,
        answer_nan,
        edit_description(normalization=None),
        edit_description(normalization=Normalization((0.0,) * 13, (50.0,) * 13)),
        edit_description(temperature=1.5),
        edit_description(labels=("high", "middle", "low")),  # no probability shows it
    ],
    ids=lambda fault: getattr(fault, "__name__", "description"),
)
def test_a_fault_is_caught_and_nothing_is_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[onnx.ModelProto], None]
) -> None:
    def faulty(run: Run, description: ModelDescription, path: Path) -> None:
        convert._onnx(run, description, path)
        model = onnx.load(path)
        fault(model)
        onnx.save_model(model, path)

    monkeypatch.setitem(convert.FORMATS, ".onnx", faulty)
    with pytest.raises((GateError, ModelError)):
        export(run, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_names_the_file_and_the_figures(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gates.LIMITS, "float32", gates.Limits(difference=1e-12, labels_changed=0, points=0))
    with pytest.raises(GateError, match=r"model\.onnx: not written: a probability is off by .*1e-12 is allowed"):
        export(run, tmp_path / "model.onnx")


def test_state_that_leaks_between_calls_is_caught(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fused sequence operators of TFLite keep state between calls; here a runtime does the same."""
    answer = gates.Model.probabilities
    calls: list[None] = []

    def drifting(model: gates.Model, features: np.ndarray) -> np.ndarray:
        calls.append(None)
        return answer(model, features) + np.float32(1e-6) * len(calls)

    monkeypatch.setattr(gates.Model, "probabilities", drifting)
    with pytest.raises(GateError, match="state leaks"):
        export(run, tmp_path / "model.onnx")


def test_inputs_are_the_real_ones_then_edge_cases_then_mixtures(run: Run) -> None:
    inputs = gate_inputs(run.features, FrontEnd(run.description.features))
    assert len(inputs) == INPUTS
    np.testing.assert_array_equal(inputs[:40], run.features)
    silence = FrontEnd(run.description.features)(np.zeros(8000, np.float32))
    np.testing.assert_array_equal(inputs[40], silence)
    assert len(np.unique(inputs.reshape(INPUTS, -1), axis=0)) == INPUTS


def test_a_damaged_run_is_not_exported(run: Run, tmp_path: Path) -> None:
    other = replace(run, probabilities=run.probabilities[::-1])
    with pytest.raises(Exception, match="doesn't give the answers stored beside it"):
        export(other, tmp_path / "model.onnx")
