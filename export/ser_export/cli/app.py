"""The command `ser-export`: run directories become proven model files."""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from ser_edge.errors import SerEdgeError
from ser_edge.errors.install_hints import install_extra
from ser_edge.errors.native_stderr import suppress_native_stderr
from ser_export.cli.args import FORMATS, PRECISIONS, SPECIAL, parse

if TYPE_CHECKING:
    from ser_export.verification.verify import Proof

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors only
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # CPU times are compared, each of one thread
    os.environ["KERAS_BACKEND"] = "tensorflow"  # the only one that TFLite's converter reads
    try:
        return _export(arguments)
    except SerEdgeError as error:
        print(f"ser-export: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # a full disk, or a folder that can't be written
        print(f"ser-export: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"ser-export: {error.name} is not installed; try: {install_extra('export')}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        print("ser-export: stopped; finished files are whole", file=sys.stderr)
        return 128 + signal.SIGINT


def _export(arguments: Sequence[str] | None) -> int:
    options = parse(arguments)
    every = [precision for precision in PRECISIONS if precision not in SPECIAL or options.report]
    precisions = every if options.precision == "all" else [options.precision]

    with (
        suppress_native_stderr()
    ):  # it announces devices that aren't there, as it is imported and once more as it looks for them
        import tensorflow

        tensorflow.config.list_logical_devices()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # else it warns of several networks in one process
    from ser_export.from_keras.run import read_run
    from ser_export.pipeline import export
    from ser_export.verification.report import Cell, markdown, relative_cpu, write_report

    worst, cells = 0, []
    for path in options.runs:
        try:
            run = read_run(path)
        except SerEdgeError as error:
            worst = _failed(error)
            continue
        network, name, made = run.metadata.name, options.name or path.name, {}
        protocol = run.metadata.accuracy.protocol if run.metadata.accuracy else ""
        run = replace(run, metadata=replace(run.metadata, name=name))
        for precision, suffix in product(precisions, FORMATS[options.format]):
            plain = precision == "float32" or (options.name and len(precisions) == 1)
            target = options.out / f"{name}{'' if plain else f'-{precision}'}{suffix}"
            try:
                proof = export(run, target, precision)
            except SerEdgeError as error:
                code = _failed(error)
                if options.precision != "all" or precision not in SPECIAL:
                    worst = code  # else: a cell that may not exist, and the table says why
                cells.append(Cell(network, suffix[1:], precision, _reason(error)))
                continue
            print(_line(target, proof, run.metadata.training.get("not_heard")), flush=True)
            cells.append(Cell.proven(network, target, precision, protocol, proof))
            made[target] = len(cells) - 1
        if options.report:
            print(f"{name}: measuring CPU time ...", file=sys.stderr)
            for target, ratios in relative_cpu(list(made), run.model, run.features).items():
                cells[made[target]] = replace(cells[made[target]], relative_cpu=ratios[0], relative_cpu_keras=ratios[1])
    if options.report:
        write_report(cells, options.report)
        print(markdown(cells), end="")
    return worst


def _failed(error: SerEdgeError) -> int:
    print(f"ser-export: {error}", file=sys.stderr)
    return 4


def _reason(error: SerEdgeError) -> str:
    """Why there is no file, without its name and what to do: the table has these."""
    from ser_export.verification.verify import ExportError

    return str(error.__cause__ if isinstance(error.__cause__, ExportError) else error)


def _line(target: Path, proof: "Proof", new_voices: Sequence[object] | None) -> str:
    known = ", of voices that trained it: this says nothing of new ones" if new_voices == [] else ""
    return (
        f"{target}  {target.stat().st_size / 1024:.0f} KiB  differs by {proof.max_difference:.1e} at most on "
        f"{proof.inputs} inputs, {proof.labels_changed} labels changed; "
        f"UAR {proof.file.uar:.2f} % (Keras {proof.keras.uar:.2f} %) on {proof.utterances} utterances{known}"
    )
