"""What ser-edge imports, and its public names."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import ser_edge

FORBIDDEN = {"keras", "librosa", "scipy", "ser_export", "ser_train", "sklearn", "tensorflow", "tflite_runtime", "torch"}
PROGRAM = """
import json, sys
from ser_edge import Recognizer, WindowConfig
no_gate = WindowConfig(min_speech_ratio=None)  # whose voice detector prefers LiteRT
Recognizer(sys.argv[1], windowing=no_gate).predict(sys.argv[2])
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize("model", ["crnn.onnx", "crnn.tflite"])
def test_predicting_imports_nothing_heavy(model: str, sounds: list[Path]) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, model, sounds[0]], capture_output=True, check=True)
    imported = set(json.loads(done.stdout))
    assert {"ser_edge", "numpy", "soundfile"} <= imported
    assert not imported & FORBIDDEN


def test_one_runtime_does_not_import_the_other(sounds: list[Path]) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, "crnn.onnx", sounds[0]], capture_output=True, check=True)
    assert "ai_edge_litert" not in json.loads(done.stdout)


# Modules that the command loads beside NumPy for one file at the model's rate, ours excluded: they cost 20 us each.
# More of others must be worth it: `python -X importtime -m ser_edge tests/sounds/plain.wav`.
MAX_MODULES = 68  # 63 in Python 3.11

COMMAND = """
import json, sys
import numpy
before = set(sys.modules)
from ser_edge.cli.app import main
main(["--format", "json", sys.argv[1]])
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_the_command_imports_no_more_than_it_needs(sounds: list[Path]) -> None:
    done = subprocess.run([sys.executable, "-c", COMMAND, sounds[0]], capture_output=True, check=True)
    imported = {name for name in json.loads(done.stdout.splitlines()[-1]) if name.partition(".")[0] != "ser_edge"}
    assert len(imported) <= MAX_MODULES
    unused = {"concurrent.futures", "distributed", "logging", "onnxruntime", "paho", "sounddevice", "tqdm"}
    assert not unused & imported


def test_importing_the_package_imports_nothing() -> None:
    program = "import sys, ser_edge; print('numpy' in sys.modules, dir(ser_edge) == ser_edge.__all__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="recogniser"):
        _ = ser_edge.recogniser


def test_all_public_names_can_be_imported() -> None:
    for name in ser_edge.__all__:
        assert getattr(ser_edge, name) is not None
