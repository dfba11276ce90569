"""Exported files hold their metadata, and stay readable by ordinary tools."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from keras import layers, ops

from ser_edge.errors.native_stderr import suppress_native_stderr
from ser_edge.models.loader import open_model
from ser_edge.models.metadata import FILE_NAME, ModelMetadata
from ser_edge.models.runtimes.base import RUNTIMES
from ser_edge.models.runtimes.litert import LiteRT
from ser_edge.models.tolerances import TOLERANCES
from ser_export.cli.app import main
from ser_export.errors import ExportError
from ser_export.from_keras.run import Run
from ser_export.pipeline.model_files import export
from ser_export.to_onnx.graph import build_graph
from ser_export.to_onnx.quantization.rounding import rows_to_int8
from ser_export.to_tflite.convert import convert, convert_here
from ser_export.to_tflite.flatbuffer import compact, flatbuffer_operators
from ser_export.verification.unverified_file import unverified_file
from ser_export.verification.verify import PRECISIONS
from ser_train.networks.zoo import NETWORKS
from tests import messages

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exported")
    targets = {suffix: folder / f"tones{suffix}" for suffix in (".onnx", ".tflite")}
    for target in targets.values():
        export(run, target)
    return targets


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_a_file_has_the_metadata_of_its_run(run: Run, files: dict[str, Path], suffix: str) -> None:
    assert open_model(files[suffix]).metadata == run.metadata


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_a_calibrated_file_answers_as_a_calibrated_keras(run: Run, tmp_path: Path, suffix: str) -> None:
    calibrated = replace(run, metadata=replace(run.metadata, temperature=1.5))
    report = export(calibrated, tmp_path / f"calibrated{suffix}")
    assert report.max_difference <= PRECISIONS["float32"].difference
    assert open_model(tmp_path / f"calibrated{suffix}").metadata.temperature == 1.5


def test_nothing_but_the_files_is_left(files: dict[str, Path]) -> None:
    assert sorted(p.name for p in files[".onnx"].parent.iterdir()) == ["tones.onnx", "tones.tflite"]


def test_the_onnx_file_is_valid_and_uses_native_recurrent_nodes(files: dict[str, Path]) -> None:
    model = onnx.load(files[".onnx"])
    onnx.checker.check_model(model, full_check=True)
    operators = [node.op_type for node in model.graph.node]
    assert "LSTM" in operators
    assert "GRU" in operators
    assert "Loop" not in operators
    assert onnxruntime.InferenceSession(files[".onnx"], providers=["CPUExecutionProvider"]).get_inputs()[0].shape == [
        "batch",
        "frames",
        13,
    ]


def test_the_tflite_file_is_a_flatbuffer_and_a_zip(run: Run, files: dict[str, Path]) -> None:
    with zipfile.ZipFile(files[".tflite"]) as archive:
        assert archive.namelist() == [FILE_NAME]
        assert ModelMetadata.from_json(archive.read(FILE_NAME), "zip") == run.metadata
    with suppress_native_stderr():
        interpreter = Interpreter(model_path=str(files[".tflite"]))
    assert interpreter.get_input_details()[0]["shape"].tolist() == [1, 32, 13]


def test_the_tflite_file_has_builtin_operators_only(any_run: Run, tmp_path: Path) -> None:
    export(any_run, tmp_path / "model.tflite")
    operators = flatbuffer_operators((tmp_path / "model.tflite").read_bytes())
    assert "WHILE" in operators
    assert all(version > 0 for version in operators.values())


def test_the_same_run_gives_the_same_bytes(run: Run, files: dict[str, Path], tmp_path: Path) -> None:
    export(run, tmp_path / "tones.onnx")
    assert (tmp_path / "tones.onnx").read_bytes() == files[".onnx"].read_bytes()


@pytest.mark.parametrize("network", ["rnn", "lstm", "gru"])
def test_the_notebooks_networks_become_eleven_nodes(network: str) -> None:
    graph = build_graph(NETWORKS[network].build((94, 40), 8)).graph
    assert len(graph.node) == 11


def test_constants_are_folded(speech_run: Run) -> None:
    graph = build_graph(speech_run.model).graph
    operators = [node.op_type for node in graph.node]
    assert operators.count("Conv") == 3
    assert not {"BatchNormalization", "Loop", "Pad", "Scan"} & set(operators)
    (recurrent,) = (node for node in graph.node if node.op_type == "GRU")
    assert recurrent.input[4].endswith("/lengths")


def test_an_unsupported_layer_is_named() -> None:
    model = keras.Sequential([keras.Input((8, 4)), layers.GaussianNoise(1.0, name="noise"), layers.Flatten()])
    with messages.raises(ExportError, "export-unsupported-layer") as refusal:
        build_graph(model)
    assert "GaussianNoise (noise)" in str(refusal.value)


@pytest.mark.parametrize(
    ("layer", "setting"),
    [
        (layers.GRU(4, reset_after=False), "reset_after=False"),
        (layers.GRU(4, activation="relu"), "activation='relu'"),
        (layers.LSTM(4, recurrent_activation="hard_sigmoid"), "recurrent_activation="),
        (layers.SimpleRNN(4, use_bias=False), "use_bias=False"),
    ],
)
def test_an_unsupported_setting_of_a_recurrent_layer_is_named(layer: layers.Layer, setting: str) -> None:
    model = keras.Sequential([keras.Input((8, 4)), layers.Bidirectional(layer), layers.Dense(2)])
    with messages.raises(ExportError, "export-unsupported-layer") as refusal:
        build_graph(model)
    assert setting in str(refusal.value)


@pytest.mark.parametrize(
    ("apply", "named"),
    [
        (lambda x: layers.Conv2D(2, 3, padding="same")(x), "padding='same'"),
        (lambda x: layers.Conv2D(2, 3, activation="relu")(x), "activation='relu'"),
        (lambda x: layers.Conv2D(2, 1, dilation_rate=2)(x), "dilation_rate"),
        (lambda x: layers.BatchNormalization(axis=1)(x), "axis=1"),
        (lambda x: layers.ReLU(max_value=6.0)(x), "max_value=6.0"),
        (lambda x: layers.ReLU()(layers.ZeroPadding2D(1)(x)), "zero padding"),
        (lambda x: x[:, ::-1], "slice"),
        (lambda x: x[:, 0], "slice"),
        (lambda x: ops.sum(x, axis=(1, 2)), "axis="),
        (lambda x: ops.max(x, keepdims=True), "axis="),
        (lambda x: ops.tan(x), "Tan"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unsupported_operation_is_named(apply: Callable[[keras.KerasTensor], keras.KerasTensor], named: str) -> None:
    inputs = keras.Input((8, 4))
    image = layers.Reshape((8, 4, 1))(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(apply(image))))
    with messages.raises(ExportError, "export-unsupported-layer") as refusal:
        build_graph(model)
    assert named in str(refusal.value)


def test_a_converter_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.keras").write_text("not a network")
    (tmp_path / "random.py").write_text("raise SystemExit('a file of the current folder was imported')")
    monkeypatch.chdir(tmp_path)
    with messages.raises(ExportError, "export-converter-failed") as caught:
        convert(tmp_path / "model.keras", tmp_path / "model.tflite", "float32", np.zeros((1, 8, 4), np.float32))
    assert "\n" not in str(caught.value)
    assert "was imported" not in str(caught.value)


def test_a_name_too_long_for_a_model_is_one_line(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    named = shutil.copytree(run.path, tmp_path / ("n" * 101))
    assert main([str(named), "--format=onnx", f"--out={tmp_path}"]) == 4
    assert messages.codes_in(capfd.readouterr().err) == ["model-metadata"]


def half_written(path: Path) -> None:
    path.write_bytes(b"half")
    raise IsADirectoryError


def test_two_exports_of_one_name_do_not_meet(tmp_path: Path) -> None:
    with unverified_file(tmp_path / "a.onnx") as one:
        one.write_bytes(b"one")
        with unverified_file(tmp_path / "a.onnx") as other:
            other.write_bytes(b"other")
        assert (tmp_path / "a.onnx").read_bytes() == b"other"
    assert (tmp_path / "a.onnx").read_bytes() == b"one"
    with pytest.raises(IsADirectoryError), unverified_file(tmp_path / "b.onnx") as never:
        half_written(never)
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


def test_a_missing_run_does_not_stop_the_others(run: Run, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ser_export", run.path, tmp_path / "missing", "--out", tmp_path, "--format=onnx"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert messages.codes_in(done.stderr) == ["run-not-found"]
    assert done.stdout.startswith(f"{tmp_path}/tones.onnx  ")
    assert open_model(tmp_path / "tones.onnx").metadata.name == "tones"
    difference = np.float64(done.stdout.split("differs by ")[1].split()[0])
    assert difference <= 1e-5


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_a_masked_network_gets_a_file_of_a_free_length(speech_run: Run, tmp_path: Path, suffix: str) -> None:
    """It answers the frames that are there as Keras does the padded input."""
    export(speech_run, path := tmp_path / f"speech{suffix}")
    module, name = RUNTIMES[suffix]
    runtime = getattr(import_module(module), name)(path.read_bytes(), path.name)
    assert runtime.input_shape[1:] == (None, 13)
    inputs = np.random.default_rng(0).normal(size=(1, 50, 13)).astype(np.float32)
    bound = TOLERANCES[suffix, "float32"].inputs
    for frames in (50, 1, 2, 7, 8, 49, 50):
        inputs[:, frames:] = 0
        expected = speech_run.model.predict(inputs, verbose=0)
        for given in (inputs, inputs[:, :frames]):
            np.testing.assert_allclose(runtime.run(given), expected, rtol=0, atol=bound)


def test_no_shape_is_computed_in_a_file_of_a_free_length(speech_run: Run, tmp_path: Path) -> None:
    """XNNPACK doesn't take operators whose output has another size in each run."""
    export(speech_run, path := tmp_path / "speech.tflite")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes()))
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    main, operators = model.subgraphs[0], schema.BuiltinOperator
    assert main.tensors[main.inputs[0]].shapeSignature.tolist() == [1, -1, 13]
    assert main.tensors[main.inputs[0]].shape.tolist() == [1, 50, 13]  # for readers that don't resize it
    shapes = [o.outputs[0] for o in main.operators if codes[o.opcodeIndex] == operators.SHAPE]
    assert len(shapes) == 1  # of which the number of steps of the loop is taken
    for operator in main.operators:
        if codes[operator.opcodeIndex] in {operators.RESHAPE, operators.STRIDED_SLICE, operators.PAD, operators.PADV2}:
            assert all(model.buffers[main.tensors[i].buffer].data is not None for i in operator.inputs[1:])


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_smaller_weights_make_smaller_files(
    any_run: Run, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    for precision in ("float32", "float16", "int8"):
        monkeypatch.setitem(PRECISIONS, precision, replace(PRECISIONS[precision], points=100.0))  # of random weights
        target = tmp_path / f"model-{precision}{suffix}"
        export(any_run, target, precision)
        assert open_model(target).metadata.precision == precision
        sizes.append(target.stat().st_size)
    assert sizes[0] > 1.3 * max(sizes[1:])  # networks as small as these are no smaller in int8 than in float16


@pytest.mark.parametrize(
    ("shape", "axes", "scaled"), [((2, 12, 40), (2,), (2, 12, 1)), ((12, 4, 3, 3), (1, 2, 3), (12, 1, 1, 1))]
)
def test_int8_rows_differ_by_half_a_step_at_most(
    shape: tuple[int, ...], axes: tuple[int, ...], scaled: tuple[int, ...]
) -> None:
    weights = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    values, scales = rows_to_int8(weights, axes)
    assert values.dtype == np.int8
    assert scales.shape == scaled
    assert (np.abs(values * scales.astype(np.float32) - weights) <= 0.501 * scales).all()


def test_a_compact_tflite_file_answers_as_before(run: Run, tmp_path: Path) -> None:
    whole = tmp_path / "whole.tflite"
    convert_here(str(run.path / "model.keras"), str(whole), "float32", "")
    small = tmp_path / "small.tflite"
    small.write_bytes(compact(whole.read_bytes()))
    assert small.stat().st_size < 0.95 * whole.stat().st_size
    inputs = run.metadata.inputs(run.features[:10])
    np.testing.assert_array_equal(*(LiteRT(path.read_bytes(), path.name).run(inputs) for path in (whole, small)))


def test_a_folder_that_cannot_be_made_is_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run.path), "--format=onnx", "--out=/dev/null/exported"]) == 1
    assert capsys.readouterr().err == "ser-export: [Errno 20] Not a directory: '/dev/null/exported'\n"
