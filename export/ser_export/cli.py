"""The command `ser-export`: run directories become proven model files."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ser_edge import __version__
from ser_edge.errors import SerEdgeError
from ser_edge.native import hushed

__all__ = ["main"]

EPILOG = """\
examples:
  ser-export runs/gru-notebook-seed0                      exported/gru-notebook-seed0.onnx and .tflite
  ser-export runs/* --format onnx --out models
  ser-export runs/gru-speaker-fold0-seed0 --name mine     exported/mine.onnx and .tflite
  ser-edge --model exported/mine.onnx hello.wav           and use it

Each file is opened in the runtime that will serve it, and asked 500 questions that Keras answered. A file whose numbers
differ is not written, and the exit code is 4.
"""

INSTALL = "pip install 'ser-edge[export]'"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors only
    os.environ["KERAS_BACKEND"] = "tensorflow"  # the only one that TFLite's converter reads
    try:
        return _export(arguments)
    except SerEdgeError as error:
        print(f"ser-export: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        print(f"ser-export: {error.name} is not installed; try: {INSTALL}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        print("ser-export: stopped; finished files are whole", file=sys.stderr)
        return 128 + signal.SIGINT


def _export(arguments: Sequence[str] | None) -> int:
    formats = {"onnx": (".onnx",), "tflite": (".tflite",), "all": (".onnx", ".tflite")}
    parser = argparse.ArgumentParser(
        prog="ser-export",
        description="Converts trained networks for ONNX Runtime and LiteRT, and proves that they answer alike.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="run directories of ser-train")
    add("--format", choices=formats, default="all", help="default: all")
    add("--name", help="the file's and the model's name, for a single run (default: the run's)")
    add(
        "--out",
        type=Path,
        default=Path("exported"),
        metavar="DIR",
        help="where files go (default: %(default)s)",
    )
    add("--version", action="version", version=f"ser-export {__version__}")
    options = parser.parse_args(arguments)
    if options.name and len(options.runs) > 1:
        parser.error("--name names one run's files")

    with hushed():
        import tensorflow  # noqa: F401

    from ser_export.convert import export
    from ser_export.gates import ExportError
    from ser_export.run import read_run

    worst = 0
    for path in options.runs:
        try:
            run = read_run(path)
        except ExportError as error:
            print(f"ser-export: {error}", file=sys.stderr)
            worst = error.exit_code
            continue
        name = options.name or path.name
        run = replace(run, description=replace(run.description, name=name))
        for suffix in formats[options.format]:
            target = options.out / f"{name}{suffix}"
            try:
                proof = export(run, target)
            except ExportError as error:
                print(f"ser-export: {error}", file=sys.stderr)
                worst = error.exit_code
                continue
            print(
                f"{target}  {target.stat().st_size / 1024:.0f} KiB  "
                f"differs by {proof.max_difference:.1e} at most on {proof.inputs} inputs, "
                f"{proof.labels_changed} labels changed; WA {proof.wa:.2f} % (Keras {proof.wa_keras:.2f} %)",
                flush=True,
            )
    return worst
