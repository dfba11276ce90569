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
MODULES = [
    name
    for _, name, is_package in pkgutil.walk_packages(ser_edge.__path__, "ser_edge.")
    if not is_package and not name.endswith("__main__")
]

PROGRAM = """
import json, sys
from ser_edge import Recognizer, WindowConfig
no_gate = WindowConfig(min_speech_ratio=None)  # the voice detector needs LiteRT
Recognizer(sys.argv[1], windowing=no_gate).predict(sys.argv[2])
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


# Modules that the command loads beside NumPy for one file at the model's rate. Who needs another for that raises it,
# knowing what it costs: `python -X importtime -m ser_edge tests/sounds/plain.wav`.
BUDGET = 105  # 99 of them in Python 3.11

COMMAND = """
import json, sys
import numpy
before = set(sys.modules)
from ser_edge.cli.app import main
main(["--format", "json", sys.argv[1]])
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_the_command_imports_what_it_uses_and_no_more(sounds: list[Path]) -> None:
    done = subprocess.run([sys.executable, "-c", COMMAND, sounds[0]], capture_output=True, check=True)
    imported = json.loads(done.stdout.splitlines()[-1])
    assert len(imported) <= BUDGET
    unused = {"concurrent.futures", "distributed", "logging", "onnxruntime", "paho", "sounddevice", "tqdm"}
    assert not unused & set(imported)


def test_importing_the_package_imports_nothing() -> None:
    program = "import sys, ser_edge; print('numpy' in sys.modules, dir(ser_edge) == ser_edge.__all__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'ser_edge' has no attribute 'recogniser'"):
        _ = ser_edge.recogniser


@pytest.mark.parametrize("name", ["ser_edge", *MODULES])
def test_public_names_exist_and_are_sorted(name: str) -> None:
    module = importlib.import_module(name)
    # as ruff's RUF022 sorts: constants, classes, functions
    kinds = [(not n.isupper(), not n[0].isupper(), n) for n in module.__all__]
    assert kinds == sorted(kinds)
    assert len(set(module.__all__)) == len(kinds)
    for public in module.__all__:
        assert hasattr(module, public)
