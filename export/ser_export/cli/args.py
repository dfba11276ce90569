"""The arguments of `ser-export`.

They are parsed before anything heavy is imported, so `--help` and usage errors need no TensorFlow. Names defined in
other modules' tables are therefore repeated here; a test compares them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ser_edge import __version__
from ser_edge.cli.arguments.argument_parser import ArgumentParser
from ser_edge.models.bundled.names import ALIASES
from ser_edge.models.metadata import MAX_LABEL
from ser_edge.models.runtimes.base import RUNTIMES

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
  ser-export --waveform exported/mine.onnx                exported/mine.wave.onnx, for programs without ser-edge
  ser-export --waveform accurate small                    the same of the bundled models

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
    add("runs", nargs="+", type=Path, metavar="RUN", help="run directories of ser-train; for --waveform models too")
    add("--format", choices=FORMATS, default="all", help="default: all")
    add(
        "--precision",
        choices=[*PRECISIONS, "all"],
        help="of the weights; all: float32, float16, int8, and the special ones with --report (default: float32)",
    )
    add(
        "--waveform",
        action="store_true",
        help="also write NAME.wave.onnx, which takes samples: the front-end is in it (docs/other-languages.md)",
    )
    add("--name", type=_name, help="the file's and the model's name, for a single run (default: the run's)")
    add("--out", type=Path, default=Path("exported"), metavar="DIR", help="folder of the files (default: %(default)s)")
    add("--report", type=Path, metavar="DIR", help="measure CPU time; write results.json, .md and .png there")
    add("--version", action="version", version=f"ser-export {__version__}")
    options = parser.parse_args(arguments)
    options.models = [path for path in options.runs if path.suffix in RUNTIMES or _is_bundled(path)]
    options.runs = [path for path in options.runs if path not in options.models]
    if options.models and not options.waveform:
        parser.error(f"{options.models[0]} is a model, not a run; type ser-export --waveform {options.models[0]}")
    if options.waveform and ".onnx" not in FORMATS[options.format]:
        parser.error("--waveform makes an .onnx file; leave --format out")
    if options.models and not options.runs and (options.precision or options.report):
        parser.error("--precision and --report are for runs; a model keeps its precision")
    options.precision = options.precision or "float32"
    if options.name and len(options.runs) + len(options.models) > 1:
        parser.error("--name names one run's files")
    by_stem: dict[str, Path] = {}
    for path in (*options.runs, *options.models):
        for stem in _stems(path, options):
            if by_stem.setdefault(stem, path).resolve() != path.resolve():
                parser.error(f"{by_stem[stem]} and {path} would have the same files; give one at a time a --name")
    return options


def _stems(path: Path, options: argparse.Namespace) -> list[str]:
    """The names, without suffix, of the files of one of several runs and models."""
    if path in options.models:
        return [f"{ALIASES.get(str(path), path.stem) if _is_bundled(path) else path.stem}.wave"]
    name = path.resolve().name
    precisions = PRECISIONS if options.precision == "all" else (options.precision,)
    stems = [name if precision == "float32" else f"{name}-{precision}" for precision in precisions]
    return stems + [f"{stem}.wave" for stem in stems if options.waveform]


def _name(text: str) -> str:
    """Of a file and its model."""
    if not text or not text.isprintable() or len(text) > MAX_LABEL or Path(text).name != text:
        problem = f"must be a file's name of {MAX_LABEL} printable characters at most; --out is for its folder"
        raise argparse.ArgumentTypeError(problem)
    return text


def _is_bundled(path: Path) -> bool:
    return str(path) in {*ALIASES, *ALIASES.values()} and not path.exists()
