"""Verification refuses ONNX files with a fault: each one below is made in a correct file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from keras import layers
from onnx import numpy_helper

from ser_edge.errors import ModelError
from ser_edge.models.metadata import KEY, ModelMetadata, Normalization
from ser_export.errors import VerificationError
from ser_export.from_keras.run import Run
from ser_export.pipeline.model_files import FORMATS, export
from ser_export.to_onnx.layers import LAYERS
from ser_export.to_onnx.nodes import Graph, Tensor
from ser_export.verification.verify import PRECISIONS, Tolerances
from tests import messages


def edit_weight(model: onnx.ModelProto, ending: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for tensor in model.graph.initializer:
        if tensor.name.endswith(ending):
            changed = np.ascontiguousarray(change(numpy_helper.to_array(tensor).copy()))
            tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
            return
    raise AssertionError(f"no weight {ending}")


def change_one_weight(model: onnx.ModelProto) -> None:
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


def last(model: onnx.ModelProto, op: str) -> onnx.NodeProto:
    return [node for node in model.graph.node if node.op_type == op][-1]


def swap_two_channels(model: onnx.ModelProto) -> None:
    edit_weight(model, last(model, "Conv").input[1], lambda weights: weights[:, [1, 0, *range(2, weights.shape[1])]])


def exchange_time_and_frequency(model: onnx.ModelProto) -> None:
    edit_weight(model, last(model, "Conv").input[1], lambda weights: weights.swapaxes(2, 3))


def pad_only_the_end(model: onnx.ModelProto) -> None:
    """As "same" padding of an even length."""
    (pads,) = (attribute for attribute in last(model, "Conv").attribute if attribute.name == "pads")
    pads.ints[:] = [0, 0, 2, 2]


def unmask_recurrent_layer(model: onnx.ModelProto) -> None:
    """The recurrent layer without its mask."""
    del last(model, "GRU").input[4:]


def unmask_convolution(model: onnx.ModelProto) -> None:
    """The last convolution's input without its mask."""
    masked = next(node for node in model.graph.node if node.output[0] == last(model, "Conv").input[0])
    assert masked.op_type == "Mul"
    masked.input[1] = "one"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "one"))


def unmask_pooling(model: onnx.ModelProto) -> None:
    """The attention and the maximum without their mask."""
    (large,) = (w for w in model.graph.initializer if not w.dims and numpy_helper.to_array(w) == 1e4)
    edit_weight(model, large.name, np.zeros_like)


def edit_metadata(**changes: object) -> Callable[[onnx.ModelProto], None]:
    def edit(model: onnx.ModelProto) -> None:
        (stored,) = (p for p in model.metadata_props if p.key == KEY)
        stored.value = replace(ModelMetadata.from_json(stored.value, "test"), **changes).to_json()

    return edit


def export_with(
    fault: Callable[[onnx.ModelProto], None], run: Run, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = FORMATS[".onnx"]

    def faulty(run: Run, metadata: ModelMetadata, path: Path) -> None:
        write(run, metadata, path)
        model = onnx.load(path)
        fault(model)
        onnx.save_model(model, path)

    monkeypatch.setitem(FORMATS, ".onnx", faulty)
    export(run, target)


@pytest.mark.parametrize(
    "fault",
    [
        change_one_weight,
        swap_two_gates,
        transpose_a_kernel,
        exchange_directions,
        answer_nan,
        edit_metadata(normalization=None),
        edit_metadata(normalization=Normalization((0.0,) * 13, (50.0,) * 13)),
        edit_metadata(temperature=1.5),
        edit_metadata(labels=("high", "middle", "low")),  # no probability shows it
    ],
    ids=lambda fault: getattr(fault, "__name__", "metadata"),
)
def test_a_faulty_file_is_refused_and_not_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[onnx.ModelProto], None]
) -> None:
    with pytest.raises((VerificationError, ModelError)):
        export_with(fault, run, tmp_path / "model.onnx", monkeypatch)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "fault",
    [
        swap_two_channels,
        exchange_time_and_frequency,
        pad_only_the_end,
        exchange_directions,
        unmask_recurrent_layer,
        unmask_convolution,
        unmask_pooling,
    ],
)
def test_a_fault_in_convolutions_or_masks_is_refused(
    speech_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[onnx.ModelProto], None]
) -> None:
    with messages.raises(VerificationError, "export-verification-failed"):
        export_with(fault, speech_run, tmp_path / "model.onnx", monkeypatch)


@pytest.mark.parametrize("without", [None, "gamma", "beta", "moving_mean", "moving_variance"])
def test_batch_normalization_folded_wrongly_is_refused(
    speech_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: str | None
) -> None:
    fold = LAYERS[layers.BatchNormalization]

    def fold_without(graph: Graph, layer: layers.BatchNormalization, x: Tensor) -> Tensor:
        if without is None:
            return x
        part = getattr(layer, without)
        stored = part.numpy()
        part.assign(np.ones_like(stored) if without in ("gamma", "moving_variance") else np.zeros_like(stored))
        try:
            return fold(graph, layer, x)
        finally:
            part.assign(stored)

    monkeypatch.setitem(LAYERS, layers.BatchNormalization, fold_without)
    with messages.raises(VerificationError, "export-verification-failed"):
        export(speech_run, tmp_path / "model.onnx")


def test_a_refusal_names_the_file_and_the_difference(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRECISIONS, "float32", Tolerances(difference=1e-12, labels_changed=0, points=0))
    with messages.raises(VerificationError, "export-verification-failed") as refusal:
        export(run, target := tmp_path / "model.onnx")
    assert str(refusal.value).startswith(f"{target}: ")
    assert " > 1e-12" in str(refusal.value)


def test_a_custom_operator_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def foreign(model: onnx.ModelProto) -> None:
        last(model, "Softmax").domain = "com.example"

    with messages.raises(VerificationError, "export-unsupported-operator"):
        export_with(foreign, run, tmp_path / "model.onnx", monkeypatch)
