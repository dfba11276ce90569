"""What the runtime drags in, and what its modules say they offer."""

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import ser_edge

FORBIDDEN = {"keras", "librosa", "scipy", "ser_export", "ser_train", "sklearn", "tensorflow", "tflite_runtime", "torch"}
MODULES = [name for _, name, _ in pkgutil.iter_modules(ser_edge.__path__, "ser_edge.") if not name.endswith("__main__")]

PROGRAM = """
import json, sys
from ser_edge import Recognizer
Recognizer(sys.argv[1]).predict(sys.argv[2])
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize("model", ["crnn.onnx", "crnn.tflite"])
def test_predicting_imports_nothing_heavy(model: str, sounds: list[Path]) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, model, sounds[0]], capture_output=True, check=True)
    imported = set(json.loads(done.stdout))
    assert {"ser_edge", "numpy", "soundfile"} <= imported
    assert not imported & FORBIDDEN


def test_one_runtime_does_not_load_the_other(sounds: list[Path]) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, "crnn.onnx", sounds[0]], capture_output=True, check=True)
    assert "ai_edge_litert" not in json.loads(done.stdout)


@pytest.mark.parametrize("name", ["ser_edge", *MODULES])
def test_public_names_exist_and_are_sorted(name: str) -> None:
    module = importlib.import_module(name)
    # as ruff's RUF022 sorts: constants, classes, functions
    kinds = [(not n.isupper(), not n[0].isupper(), n) for n in module.__all__]
    assert kinds == sorted(kinds)
    assert len(set(module.__all__)) == len(kinds)
    for public in module.__all__:
        assert hasattr(module, public)


def test_every_module_is_looked_at() -> None:
    files = {f"ser_edge.{path.stem}" for path in Path(ser_edge.__file__).parent.glob("*.py")}
    assert files - set(MODULES) == {"ser_edge.__init__", "ser_edge.__main__"}
