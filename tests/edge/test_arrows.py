"""The check that keeps the rooms apart catches what it should."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "arrows.py"

spec = importlib.util.spec_from_file_location("arrows", SCRIPT)
arrows = importlib.util.module_from_spec(spec)
spec.loader.exec_module(arrows)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "edge/ser_edge/a.py",
            "import numpy\nimport ser_train.training.loop\n",
            "2: ser_edge may not import ser_train",
        ),
        ("edge/ser_edge/a.py", "def f():\n    from librosa import load\n", "2: ser_edge may not import librosa"),
        ("edge/ser_edge/a.py", "if True:\n\n    import scipy.fft as fft\n", "3: ser_edge may not import scipy"),
        ("edge/ser_edge/a.py", "m = importlib.import_module('keras.layers')\n", "1: ser_edge may not import keras"),
        ("train/ser_train/a.py", "from ser_export import gates\n", "1: ser_train may not import ser_export"),
        ("export/ser_export/a.py", "import os, ser_train\n", "1: ser_export may not import ser_train"),
    ],
)
def test_a_breach_is_found_where_it_stands(file: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    assert list(arrows.breaches(tmp_path)) == [f"{file}:{message}"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("edge/ser_edge/a.py", "import numpy, soundfile\nfrom ser_edge.audio.reading import read\n"),
        ("edge/ser_edge/a.py", "import scipyish\nx = 'import keras'\n"),
        ("train/ser_train/a.py", "import keras, scipy.fft, ser_edge\n"),
        ("export/ser_export/a.py", "import tensorflow, ser_edge\n"),
    ],
)
def test_what_is_allowed_is_not_found(file: str, text: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    assert list(arrows.breaches(tmp_path)) == []


def test_the_project_keeps_to_it() -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
