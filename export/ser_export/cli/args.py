"""The arguments of `ser-export`.

They are parsed before anything heavy is imported, so `--help` and usage errors need no TensorFlow. Names defined in
other modules' tables are therefore repeated here; a test compares them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ser_edge import __version__
from ser_edge.cli.arguments.argument_parser import ArgumentParser

FORMATS = {"onnx": (".onnx",), "tflite": (".tflite",), "all": (".onnx", ".tflite")}
PRECISIONS = ("float32", "float16", "int8", "int8-per-tensor", "int8-full")  # as in verify.PRECISIONS
SPECIAL = {"int8-per-tensor", "int8-full"}  # not for every format and network

_EPILOG = """\
examples:
  ser-export runs/gru-notebook-seed0                      exported/gru-notebook-seed0.onnx and .tflite
  ser-export runs/* --format onnx --out models
  ser-export runs/gru-notebook-seed0 --precision int8     exported/gru-notebook-seed0-int8.onnx and .tflite
  ser-export runs/gru-speaker-fold0-seed0 --name mine     exported/mine.onnx and .tflite
  ser-edge --model exported/mine.onnx hello.wav           and use it

Each file is opened in its runtime and compared with Keras on at least 500 inputs. One whose answers differ by more than
its precision allows is not written, and the exit code is 4.
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = ArgumentParser(
        prog="ser-export",
        description="Converts trained networks for ONNX Runtime and LiteRT, and verifies the files against Keras.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="run directories of ser-train")
    add("--format", choices=FORMATS, default="all", help="default: all")
    add(
        "--precision",
        choices=[*PRECISIONS, "all"],
        default="float32",
        help="of the weights; all: float32, float16, int8, and the special ones with --report (default: float32)",
    )
    add("--name", help="the file's and the model's name, for a single run (default: the run's)")
    add("--out", type=Path, default=Path("exported"), metavar="DIR", help="folder of the files (default: %(default)s)")
    add("--report", type=Path, metavar="DIR", help="measure CPU time; write results.json, .md and .png there")
    add("--version", action="version", version=f"ser-export {__version__}")
    options = parser.parse_args(arguments)
    if options.name and len(options.runs) > 1:
        parser.error("--name names one run's files")
    return options
