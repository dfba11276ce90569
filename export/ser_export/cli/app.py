"""The command `ser-export`: converts run directories to verified model files."""

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from ser_edge.errors import SerEdgeError
from ser_edge.errors.install_hints import install_extra
from ser_edge.errors.native_stderr import suppress_native_stderr
from ser_edge.errors.termination import exit_code, raise_on_sigterm
from ser_edge.models.metadata import MAX_LABEL
from ser_export.cli.args import FORMATS, PRECISIONS, SPECIAL, parse
from ser_export.errors import ExportError

if TYPE_CHECKING:
    from ser_export.from_keras.run import Run
    from ser_export.verification.report import ExportResult
    from ser_export.verification.verify import VerificationReport


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors only
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # CPU times are compared on one thread
    os.environ["KERAS_BACKEND"] = "tensorflow"  # the only one that TFLite's converter reads
    try:
        options = parse(arguments)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a path can have characters that the encoding hasn't
        with raise_on_sigterm():
            code = _convert_models(options)
            return (_export_runs(options) or code) if options.runs else code
    except SerEdgeError as error:
        return _report_error(error)
    except OSError as error:  # a full disk, or a folder that can't be written
        print(f"ser-export: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"ser-export: {error.name} is not installed; try: {install_extra('export')}", file=sys.stderr)
        return 4
    except KeyboardInterrupt as stop:
        print("ser-export: stopped; finished files are complete", file=sys.stderr)
        return exit_code(stop)


def _convert_models(options: argparse.Namespace) -> int:
    """Makes files that take samples of model files, without TensorFlow; returns the exit code."""
    exit_code = 0
    for source in options.models:
        from ser_export.pipeline.waveform_files import SUFFIX, bundled_or_file

        path = bundled_or_file(source)
        target = options.out / f"{options.name or path.stem}{SUFFIX}"
        exit_code = _waveform(path, target, name=options.name) or exit_code
    return exit_code


def _waveform(source: Path, target: Path, run: "Run | None" = None, name: str | None = None) -> int:
    """Makes one file that takes samples; returns the exit code."""
    from ser_export.pipeline.waveform_files import export_waveform

    try:
        if run is None:
            report = export_waveform(source, target, name=name)
        else:
            from ser_export.pipeline.model_files import keras_predict_proba

            report = export_waveform(source, target, keras_predict_proba(run))
    except SerEdgeError as error:
        return _report_error(error)
    print(
        f"{target}  {target.stat().st_size / 1024:.0f} KiB  differs by {report.max_difference:.1e} at most on "
        f"{report.inputs} sounds, {report.labels_changed} labels changed",
        flush=True,
    )
    return 0


def _export_runs(options: argparse.Namespace) -> int:
    with suppress_native_stderr():  # TensorFlow reports missing GPUs on import, and again when it lists devices
        import tensorflow

        tensorflow.config.list_logical_devices()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns about several networks in one process
    from ser_export.from_keras.run import read_run
    from ser_export.verification.report import markdown, write_report

    exit_code, results = 0, []
    for path in options.runs:
        try:
            run = read_run(path)
        except SerEdgeError as error:
            exit_code = _report_error(error)
            continue
        run_code, run_results = _export_run(run, options)
        exit_code = run_code or exit_code
        results += run_results
    if options.report:
        write_report(results, options.report)
        print(markdown(results), end="")
    return exit_code


def _export_run(run: "Run", options: argparse.Namespace) -> tuple[int, list["ExportResult"]]:
    """Exports a run in each format and precision; returns the exit code and the table's rows."""
    from ser_export.pipeline.model_files import export
    from ser_export.pipeline.waveform_files import SUFFIX as WAVEFORM_SUFFIX
    from ser_export.verification.report import ExportResult, relative_cpu

    offered = [precision for precision in PRECISIONS if precision not in SPECIAL or options.report]
    precisions = offered if options.precision == "all" else [options.precision]
    network, name = run.label, options.name or run.path.resolve().name
    protocol = run.metadata.accuracy.protocol if run.metadata.accuracy else ""
    if len(name) > MAX_LABEL or not name.isprintable():
        problem = f"{run.path}: the name of a model has {MAX_LABEL} printable characters at most; give a --name"
        return _report_error(ExportError(problem, code="model-metadata")), []
    run = replace(run, metadata=replace(run.metadata, name=name))
    exit_code, results, written, float32_onnx = 0, [], {}, None
    for precision, suffix in product(precisions, FORMATS[options.format]):
        plain_name = precision == "float32" or (options.name and len(precisions) == 1)
        target = options.out / f"{name}{'' if plain_name else f'-{precision}'}{suffix}"
        try:
            report = export(run, target, precision)
        except SerEdgeError as error:
            code = _report_error(error)
            if options.precision != "all" or precision not in SPECIAL:
                exit_code = code  # else: a combination that may not exist, and the table gives the reason
            reason = error.__cause__ if isinstance(error.__cause__, SerEdgeError) else error  # without name and advice
            results.append(ExportResult(network, suffix[1:], precision, str(reason)))
            continue
        print(_summary(target, report, run.tested_on_training_speakers), flush=True)
        if options.waveform and suffix == ".onnx":
            exit_code = _waveform(target, target.with_name(target.stem + WAVEFORM_SUFFIX), run) or exit_code
        written[target] = len(results)
        if (precision, suffix) == ("float32", ".onnx"):
            float32_onnx = target
        results.append(ExportResult.verified(network, target, precision, protocol, report))
    if options.report and written:
        print(f"{name}: measuring CPU time ...", file=sys.stderr)
        measured = relative_cpu(list(written), float32_onnx, run.model, run.features)
        for target, (to_onnx, to_keras) in measured.items():
            index = written[target]
            results[index] = replace(results[index], relative_cpu=to_onnx, relative_cpu_keras=to_keras)
    corpus, labels = run.metadata.corpus, len(run.metadata.labels)
    return exit_code, [replace(result, corpus=corpus, labels=labels) for result in results]


def _report_error(error: SerEdgeError) -> int:
    print(f"ser-export: {error}", file=sys.stderr)
    return error.exit_code


def _summary(target: Path, report: "VerificationReport", tested_on_training_speakers: bool) -> str:
    note = " by speakers in the training set: says nothing about new ones" if tested_on_training_speakers else ""
    return (
        f"{target}  {target.stat().st_size / 1024:.0f} KiB  differs by {report.max_difference:.1e} at most on "
        f"{report.inputs} inputs, {report.labels_changed} labels changed; "
        f"UAR {report.file.uar:.2f} % (Keras {report.keras.uar:.2f} %) on {report.utterances} utterances{note}"
    )
