"""The wheel is the whole runtime: it installs into an empty environment and answers there as it does here."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from ser_edge import Recognizer

ROOT = Path(__file__).parent.parent.parent


def run(*command: object, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT, cwd=folder)
    (path,) = folder.glob("ser_edge-*.whl")
    return path


def test_the_wheel_holds_the_models_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    models = {"models/crnn.onnx", "models/crnn.tflite", "voice/silero_vad.tflite", "voice/silero_vad.LICENSE"}
    assert {f"ser_edge/{name}" for name in models | {"py.typed"}} <= set(names)
    rooms = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert rooms == {"ser_edge", "ser_train", "ser_export"}
    assert not [name for name in names if "tests/" in name or name.endswith((".wav", ".pyc"))]


def test_an_empty_environment_answers_as_this_one_does(wheel: Path, sounds: list[Path], tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip = [programs / "python", "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "-c", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    installed = {package["name"] for package in json.loads(run(*pip, "list", "--format", "json", cwd=tmp_path))}
    assert {"ser-edge", "numpy", "ai-edge-litert"} <= installed
    assert not installed & {"keras", "librosa", "onnxruntime", "scikit-learn", "scipy", "tensorflow"}
    record = json.loads(run(programs / "ser-edge", "--format", "json", sounds[0], cwd=tmp_path))
    here = Recognizer().predict(sounds[0])
    assert record["label"] == here.label
    assert record["probabilities"] == pytest.approx(here.probabilities, abs=1e-4)
