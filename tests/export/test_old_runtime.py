"""tflite-runtime 2.14, the last one there was, reads what is made for it; it has an environment of its own here."""

import json
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ser_edge import Recognizer
from ser_edge.models.loader import open_model
from ser_edge.models.tolerances import tolerance
from ser_export.from_keras.run import Run
from ser_export.pipeline.model_files import export
from ser_export.verification.operators import runtimes
from ser_export.verification.verify import PRECISIONS

pytestmark = pytest.mark.slow

EDGE = Path(__file__).parents[2] / "edge"
CAN_BE_INSTALLED = pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info >= (3, 12), reason="tflite-runtime has wheels for Python 3.11 on Linux"
)
ANSWER = """
import sys, numpy as np
from tflite_runtime.interpreter import Interpreter
network = Interpreter(model_path=sys.argv[1])
network.allocate_tensors()
answers = []
for item in np.load(sys.argv[2]):
    network.set_tensor(network.get_input_details()[0]["index"], item[None])
    network.invoke()
    answers.append(network.get_tensor(network.get_output_details()[0]["index"])[0])
np.save(sys.argv[3], np.stack(answers))
"""


@pytest.fixture(scope="session")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    packages = ["tflite-runtime==2.14.0", "numpy<2", "soundfile", "soxr", "tqdm"]
    subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
    return python


@CAN_BE_INSTALLED
@pytest.mark.parametrize("precision", ["float32", "float16", "int8-per-tensor"])
def test_the_old_runtime_answers_as_the_new_one(
    any_run: Run, old_python: Path, tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRECISIONS, precision, replace(PRECISIONS[precision], points=100.0))  # of random weights
    target, inputs, outputs = (tmp_path / name for name in ("model.tflite", "inputs.npy", "answers.npy"))
    export(any_run, target, precision)
    assert "tflite-runtime 2.14" in runtimes(target)
    features = any_run.features[:20]
    np.save(inputs, any_run.metadata.inputs(features))
    subprocess.run([old_python, "-c", ANSWER, target, inputs, outputs], check=True)
    bound = tolerance(".tflite", precision).kernels
    np.testing.assert_allclose(np.load(outputs), open_model(target).probabilities(features), rtol=0, atol=bound)


@CAN_BE_INSTALLED
def test_the_old_runtime_refuses_what_the_table_says_it_does(
    any_run: Run, old_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRECISIONS, "int8", replace(PRECISIONS["int8"], points=100.0))
    target = tmp_path / "model.tflite"
    export(any_run, target, "int8")
    assert runtimes(target) == ("LiteRT",)
    done = subprocess.run([old_python, "-c", ANSWER, target], capture_output=True, text=True, check=False)
    assert "Didn't find op for builtin opcode 'FULLY_CONNECTED'" in done.stderr


@CAN_BE_INSTALLED
def test_ser_edge_answers_with_the_old_runtime_and_numpy_1(old_python: Path, sounds: list[Path]) -> None:
    command = [old_python, "-m", "ser_edge", "--model", "crnn.tflite", "--format", "json", *sounds]
    done = subprocess.run(command, env={"PYTHONPATH": str(EDGE)}, capture_output=True, text=True, check=True)
    recognizer = Recognizer("crnn.tflite")
    bound = tolerance(".tflite", recognizer.metadata.precision).kernels
    for line, sound in zip(done.stdout.splitlines(), sounds, strict=True):
        expected = recognizer.predict(sound).probabilities
        assert json.loads(line)["probabilities"] == pytest.approx(expected, abs=bound)
