"""The command line of `ser-export`, and the silence of TensorFlow behind it."""

import subprocess
import sys
from pathlib import Path

import pytest

from ser_export.cli import args
from ser_export.cli.app import main
from ser_export.verification.verify import PRECISIONS

HEAVY = ("flatbuffers", "joblib", "keras", "matplotlib", "onnx", "onnxruntime", "scipy", "sklearn", "tensorflow")
WITHOUT = f"""
import sys
sys.modules.update(dict.fromkeys({HEAVY}))
from ser_export.cli.app import main
sys.exit(main(sys.argv[1:]))
"""


def test_help_and_usage_need_nothing_but_the_base_install(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: ser-export ")
    assert done.stderr == ""
    missing = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False)
    assert missing.returncode == 4
    assert missing.stderr.startswith("ser-export: tensorflow is not installed; try: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: RUN"),
        (["a", "b", "--name", "c"], "--name names one run's files"),
        (["a", "--name", "a\tb"], "argument --name: must be a file's name of 100 printable characters at most"),
        (["a", "--name", "n" * 101], "argument --name: must be a file's name of 100 printable characters at most"),
        (["a", "--name", "../a"], "argument --name: must be a file's name of 100 printable characters at most"),
        (["a", "--name", ""], "argument --name: must be a file's name of 100 printable characters at most"),
        (["a/best", "b/best"], "a/best and b/best would have the same files; give one at a time a --name"),
        (["--waveform", "a/m.onnx", "b/m.onnx"], "a/m.onnx and b/m.onnx would have the same files; "),
        (["a", "a-int8", "--precision", "all"], "a and a-int8 would have the same files; "),
        (["a", "a.wave", "--waveform"], "a and a.wave would have the same files; "),
        (["--waveform", "a", "b/a.onnx"], "a and b/a.onnx would have the same files; "),
        (["--waveform", "small", "b/crnn.onnx"], "small and b/crnn.onnx would have the same files; "),
        (["--waveform", "small", "--precision", "int8"], "--precision and --report are for runs; "),
        (["--waveform", "small", "--report", "r"], "--precision and --report are for runs; "),
        (["a", "--precision", "int4"], "argument --precision: invalid choice: 'int4'"),
    ],
)
def test_a_usage_error_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(arguments)
    assert ending.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ser-export: error: {message}")
    assert line.endswith(" (see ser-export --help)")


def test_the_command_line_offers_all_precisions() -> None:
    assert tuple(PRECISIONS) == args.PRECISIONS


# What TensorFlow prints on a machine without a GPU, and about a sixth network in one process.
LOUD = """
import logging, os, sys
from ser_edge.errors.native_stderr import suppress_native_stderr
with suppress_native_stderr():
    import tensorflow
tensorflow.config.list_logical_devices = lambda: os.write(2, b"E0000 failed call to cuInit\\n")
from {package} import {module}
{call}
logging.getLogger("tensorflow").warning("5 out of the last 5 calls triggered tf.function retracing")
"""


@pytest.mark.parametrize(
    ("package", "module", "call"),
    [
        ("ser_train.networks", "keras_backend", "keras_backend.load()"),
        ("ser_export.cli", "app", "app.main(['nothing', '--out', sys.argv[1]])"),
    ],
)
def test_tensorflow_is_silent(package: str, module: str, call: str, tmp_path: Path) -> None:
    program = LOUD.format(package=package, module=module, call=call)
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert [line for line in done.stderr.splitlines() if not line.startswith("ser-export: nothing: ")] == []
