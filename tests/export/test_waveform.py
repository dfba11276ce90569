"""`ser-export --waveform`: files that take samples, of runs and of model files; verified before they are kept."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from ser_edge import Recognizer
from ser_edge.errors import ModelError
from ser_edge.models.bundled.names import BUNDLED, WAVEFORM
from ser_edge.models.loader import open_model
from ser_edge.models.metadata import KEY
from ser_edge.models.tolerances import tolerance
from ser_export.cli.app import main
from ser_export.errors import ExportError, VerificationError
from ser_export.from_keras.run import Run
from ser_export.pipeline.model_files import export, keras_predict_proba
from ser_export.pipeline.waveform_files import export_waveform
from ser_export.verification.operators import operators
from ser_export.verification.verify import PRECISIONS
from ser_export.verification.waveform import verify_waveform, waveform_inputs, without_dc
from tests import messages

pytestmark = pytest.mark.slow
Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_a_file_of_each_precision_answers_as_the_model_file_and_keras_do(
    any_run: Run, tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRECISIONS, precision, replace(PRECISIONS[precision], points=100.0))  # of random weights
    calibrated = replace(any_run, metadata=replace(any_run.metadata, temperature=1.5))
    export(calibrated, source := tmp_path / "model.onnx", precision)
    report = export_waveform(source, tmp_path / "model.wave.onnx", keras_predict_proba(calibrated))
    assert report.max_difference <= tolerance(".onnx", precision).inputs
    assert report.labels_changed == 0
    assert report.inputs >= 30
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "model.wave.onnx"]


def test_the_bundled_file_is_what_is_made_of_the_bundled_model(tmp_path: Path) -> None:
    export_waveform(BUNDLED / "crnn.onnx", made := tmp_path / "crnn.wave.onnx")
    assert made.read_bytes() == WAVEFORM.read_bytes(), "make it anew: make bundle"


def test_it_has_operators_of_onnx_alone_and_old_enough_ones() -> None:
    model = onnx.load(WAVEFORM)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert all(0 < version <= 17 for version in operators(WAVEFORM).values())
    assert {"GRU", "Loop", "TopK"} <= set(operators(WAVEFORM))  # those in the bodies of loops too


def test_it_says_what_it_takes_and_gives() -> None:
    session = onnxruntime.InferenceSession(WAVEFORM, providers=["CPUExecutionProvider"])
    assert [(x.name, x.shape, x.type) for x in session.get_inputs()] == [("samples", ["samples"], "tensor(float)")]
    assert [(x.name, x.shape) for x in session.get_outputs()] == [("probabilities", [8]), ("embedding", [480])]
    stored = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(stored[KEY])["labels"]) == Recognizer("small").metadata.labels
    assert json.loads(stored[KEY])["features"]["sample_rate"] == 16_000
    assert stored["ser_edge_input"] == "samples"


def test_ser_edge_says_whom_it_is_for() -> None:
    with messages.raises(ModelError, "model-mismatched"):
        open_model(WAVEFORM)


def test_other_answers_are_refused(tmp_path: Path) -> None:
    model = open_model("small.onnx")

    def slightly_different(samples: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict_proba(samples) + np.float32(1e-3))

    config = model.metadata.features
    assert verify_waveform(WAVEFORM, model.predict_proba, config, 1e-5).labels_changed == 0
    with messages.raises(VerificationError, "export-verification-failed"):
        verify_waveform(WAVEFORM, slightly_different, config, 1e-5)
    with messages.raises(VerificationError, "export-verification-failed"):
        export_waveform(model.path, tmp_path / "crnn.wave.onnx", lambda samples: np.eye(8)[0])
    assert not [*tmp_path.iterdir()]


def test_inputs_are_of_every_kind() -> None:
    inputs = waveform_inputs(16_000)
    assert min(map(len, inputs)) == 0
    assert max(map(len, inputs)) > 10 * 16_000
    assert any(np.isnan(samples).any() for samples in inputs)
    assert all(samples.dtype == np.float32 for samples in inputs)
    config = Recognizer("small").metadata.features
    assert all(np.isfinite(without_dc(samples, config)).all() for samples in inputs)


def test_a_file_of_one_length_is_refused(tmp_path: Path) -> None:
    model = onnx.load(BUNDLED / "crnn.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 300
    onnx.save(model, fixed := tmp_path / "fixed.onnx")
    with messages.raises(ExportError, "export-unsupported-layer"):
        export_waveform(fixed, tmp_path / "fixed.wave.onnx")
    with messages.raises(ExportError, "export-unsupported-layer"):
        export_waveform(BUNDLED / "crnn.tflite", tmp_path / "crnn.wave.onnx")


def test_the_command_writes_it_beside_the_model_files(run: Run, tmp_path: Path, capsys: Capture) -> None:
    assert main([str(run.path), "--waveform", "--format", "onnx", "--out", str(tmp_path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{tmp_path}/tones.onnx  ")
    assert second.startswith(f"{tmp_path}/tones.wave.onnx  ")
    assert second.endswith(", 0 labels changed")
    assert main(["--waveform", str(tmp_path / "tones.onnx"), "--out", str(tmp_path / "again")]) == 0
    again = tmp_path / "again/tones.wave.onnx"
    assert again.read_bytes() == (tmp_path / "tones.wave.onnx").read_bytes()


def test_the_command_takes_bundled_models_by_name(tmp_path: Path) -> None:
    assert main(["--waveform", "crnn", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "crnn.wave.onnx").read_bytes() == WAVEFORM.read_bytes()
    assert main(["--waveform", "crnn", "--name", "mine", "--out", str(tmp_path)]) == 0
    mine, theirs = (
        {e.key: e.value for e in onnx.load(path).metadata_props} for path in (tmp_path / "mine.wave.onnx", WAVEFORM)
    )
    assert json.loads(mine.pop(KEY)) == json.loads(theirs.pop(KEY)) | {"name": "mine"}
    assert mine == theirs


def test_a_path_that_the_terminal_cannot_print_is_escaped(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ser_export", "--waveform", "crnn", "--out", tmp_path / "żółw"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(ascii(str(tmp_path / "żółw" / "crnn.wave.onnx"))[1:-1])


def test_the_command_goes_on_after_a_file_that_cannot_be_used(tmp_path: Path, capsys: Capture) -> None:
    assert main(["--waveform", str(WAVEFORM), "small", "--out", str(tmp_path)]) == 4
    assert messages.codes_in(capsys.readouterr().err) == ["model-mismatched"]
    assert (tmp_path / "crnn.wave.onnx").exists()


@pytest.mark.parametrize("arguments", [["small"], ["model.onnx"], ["--waveform", "runs", "--format", "tflite"]])
def test_a_command_line_that_makes_no_sense_is_refused(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "--waveform" in capsys.readouterr().err
