"""The command `ser-edge`: parses its arguments, dispatches, and turns errors into exit codes. Imports are lazy."""

import argparse
import io
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ser_edge.cli.arguments.rules import STDIN, kept_options, parse, usage_error
from ser_edge.errors import SerEdgeError
from ser_edge.errors.native_stderr import isolate_stderr
from ser_edge.errors.termination import exit_code, raise_on_sigterm

if TYPE_CHECKING:
    from distributed import Client
    from tqdm import tqdm

    from ser_edge.cli.listen import ListenOptions
    from ser_edge.cli.predict import PredictOptions
    from ser_edge.models.metadata import ModelMetadata
    from ser_edge.output.folder import OutputFolder
    from ser_edge.output.live_view import LiveView
    from ser_edge.output.progress import Log
    from ser_edge.recognition.recognizer import Recognizer, RecognizerConfig


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    _open_closed_streams()
    options = parse(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path can have characters that the encoding hasn't
    try:
        with isolate_stderr(), raise_on_sigterm():
            code = _run(options)
        sys.stdout.flush()
        return code
    except SerEdgeError as error:
        from ser_edge.output.progress import Log

        Log(details=options.verbose).error(error)
        return error.exit_code
    except KeyboardInterrupt as stop:
        print(f"ser-edge: stopped{stop}", file=sys.stderr)
        return exit_code(stop)
    except OSError as error:  # of the output: inputs that can't be read are AudioErrors
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python reports it again at exit
        if isinstance(error, BrokenPipeError):  # as by `| head -1`
            return 0
        print(f"ser-edge: can't write the predictions: {error.strerror}", file=sys.stderr)
        return 1


def _open_closed_streams() -> None:
    """Has standard output and error lead nowhere where they are closed (`2>&-`); else a file would be opened there."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


def _run(options: argparse.Namespace) -> int:
    if options.list_devices:
        from ser_edge.capture.devices import choose, devices

        found = devices() or [choose()]  # which explains why there is none
        print(*found, sep="\n")
        return 0
    if options.doctor:
        from ser_edge.cli.doctor import DoctorOptions, run_doctor

        return run_doctor(sys.stdout, DoctorOptions(options.device))
    _check_cues(options)
    config, recognizer = _open_recognizer(options)
    if options.describe or options.unit or options.print_completion:
        print(_document(options, recognizer.metadata), end="")
        return 0
    return _recognize(options, config, recognizer)


def _check_cues(options: argparse.Namespace) -> None:
    """Exits with a usage error where cues, which are for one recording, are asked for of several."""
    from ser_edge.cli.predict import find_files

    one_recording = options.has_cues and options.output_dir is None
    if one_recording and len(list(islice(find_files(options.paths), 2))) > 1:
        usage_error("subtitles and label tracks are for one recording; give one file, --output-dir or --format text")


def _open_recognizer(options: argparse.Namespace) -> "tuple[RecognizerConfig, Recognizer]":
    """This process's recognizer, and what builds those of others."""
    from ser_edge.recognition.recognizer import RecognizerConfig
    from ser_edge.recognition.windows import WindowConfig

    labels, label_map = tuple(options.labels) if options.labels else None, tuple(options.map)
    channel = None if options.mic else options.channel  # a microphone's is chosen where it is captured
    try:
        windows = WindowConfig(options.window, options.hop, None if options.no_gate else options.speech)
        config = RecognizerConfig(
            options.model, options.threads, options.threshold, windows, channel, labels, label_map
        )
        return config, config.build()
    except ValueError as e:
        usage_error(str(e))


def _document(options: argparse.Namespace, metadata: "ModelMetadata") -> str:
    """What is printed in place of predictions: the model's metadata, a systemd unit, or a shell's completion."""
    if options.describe:
        return f"{metadata.to_json()}\n"
    if options.unit:
        from ser_edge.service.systemd_unit import unit

        return unit(options.unit, kept_options(options))
    from ser_edge.cli.arguments.completion import completion

    return f"{completion(options.print_completion, metadata.labels)}\n"


def _recognize(options: argparse.Namespace, config: "RecognizerConfig", recognizer: "Recognizer") -> int:
    """Serves, or classifies; logs what is used, and warnings."""
    from ser_edge.errors.user_warnings import capture_warnings
    from ser_edge.output.progress import Log, log_warning

    log = Log(not options.quiet, options.verbose)
    if options.verbose:
        log.detail(_model_line(recognizer, options.threads))
    with capture_warnings(log_warning):
        if options.serve:
            return _serve(options, recognizer, log)
        return _classify(options, config, recognizer, log)


def _serve(options: argparse.Namespace, recognizer: "Recognizer", log: "Log") -> int:
    from ser_edge.cli.serve import ServeOptions, serve
    from ser_edge.cli.sinks import open_outputs

    host, port = options.serve
    how = ServeOptions(
        host,
        port,
        accuracy_notice(recognizer.metadata),
        token=options.token,
        hosts=tuple(options.allow_host),
        origins=tuple(options.allow_origin),
        root_path=options.root_path or "",
        max_bytes=options.max_upload and options.max_upload << 20,
        max_seconds=options.max_seconds,
        jobs=options.jobs,
        threads=options.threads,
        microphone=_listen_options(options, None, log) if options.mic else None,
        device=options.device,
        log=log,
    )
    with ExitStack() as stack:
        outputs = open_outputs(options, recognizer.metadata, stack)
        code = serve(recognizer, how, outputs.sinks)
        if outputs.file and code == 0:
            outputs.file.begin()
        return code


def _classify(options: argparse.Namespace, config: "RecognizerConfig", recognizer: "Recognizer", log: "Log") -> int:
    """Classifies a microphone, or files and standard input."""
    from ser_edge.cli.predict import Predictions, count_undecodable, find_files, predict_files, write_results
    from ser_edge.cli.sinks import open_outputs

    metadata, undecodable, bar = recognizer.metadata, Counter[str](), None
    results: Iterable[Predictions]
    with ExitStack() as stack:
        client = _connect(options, stack)
        outputs = open_outputs(options, metadata, stack)
        folder = outputs.folder
        if options.mic:
            from ser_edge.cli.listen import listen_to_microphone

            results = [listen_to_microphone(recognizer, options.device, _listen_options(options, outputs.view, log))]
        else:
            bar = _progress_bar(options, folder, log, stack)
            how = _predict_options(options, client, outputs.view, bar, log)
            paths = find_files(options.paths, undecodable)
            files = predict_files(config, recognizer, folder.pending(paths) if folder else paths, how)
            results = stack.enter_context(closing(files))
        try:
            classified, failed = write_results(results, outputs.sinks, bar, folder, log)
        except KeyboardInterrupt as stop:
            raise type(stop)(_stopped(folder, options.overwrite) if folder else "") from stop
        if outputs.file and not (failed or undecodable):
            outputs.file.begin()  # where nothing was predicted
    if undecodable:
        failed += count_undecodable(undecodable)
    if "text" in options.formats and classified:
        log.notice(accuracy_notice(metadata))
    if folder or (failed and classified):
        log.notice(_summary_line(classified, failed, folder.skipped if folder else 0))
    return 1 if failed else 0


def _connect(options: argparse.Namespace, stack: ExitStack) -> "Client | None":
    """A client of the Dask cluster, if there is one."""
    if options.cluster is None:
        return None
    from ser_edge.recognition.batch.dask_backend import cluster_client

    return stack.enter_context(cluster_client(options.cluster))


def _progress_bar(
    options: argparse.Namespace, folder: "OutputFolder | None", log: "Log", stack: ExitStack
) -> "tqdm[None] | None":
    """A bar for the files to classify, where nothing else is painted on the terminal."""
    prints_here = not (options.output or folder) and sys.stdout.isatty()
    if not log.notices or not sys.stderr.isatty() or prints_here:
        return None
    from ser_edge.cli.predict import find_files
    from ser_edge.output.progress import progress_bar

    paths = find_files(options.paths, Counter())
    return stack.enter_context(progress_bar(sum(1 for path in paths if not (folder and folder.is_complete(path)))))


def _predict_options(
    options: argparse.Namespace,
    client: "Client | None",
    view: "LiveView | None",
    bar: "tqdm[None] | None",
    log: "Log",
) -> "PredictOptions":
    from ser_edge.cli.predict import PredictOptions
    from ser_edge.output.progress import advance_within_file

    stdin = _listen_options(options, view, log) if STDIN in options.paths else None
    on_progress = None if bar is None else partial(advance_within_file, bar)
    return PredictOptions(options.timeline, options.jobs, client, stdin, on_progress, log)


def _listen_options(options: argparse.Namespace, view: "LiveView | None", log: "Log") -> "ListenOptions":
    from ser_edge.audio.decoding.standard_input import RawFormat
    from ser_edge.cli.listen import ListenOptions

    raw = RawFormat(options.rate, options.channels, options.sample_format) if options.rate else None
    return ListenOptions(options.duration, raw, options.channel, view, log)


def _model_line(recognizer: "Recognizer", threads: int) -> str:
    """What classifies, in a line."""
    from ser_edge.models.runtimes.base import RUNTIMES

    _, runtime = RUNTIMES[recognizer.path.suffix]
    return f"model {recognizer.metadata.name}: {recognizer.path}, {runtime}, {threads} thread{'s' * (threads > 1)}"


def _summary_line(classified: int, failed: int, skipped: int) -> str:
    """How many files there were, in a line."""
    failures = f", {failed} failed" * (failed > 0)
    left_out = f", {skipped} skipped: their output is there (--overwrite replaces it)" * (skipped > 0)
    return f"ser-edge: {classified} classified{failures}{left_out}"


def _stopped(folder: "OutputFolder", overwrite: bool) -> str:
    """What is done, and how to go on, behind the word `stopped`."""
    skipped = f", {folder.skipped} skipped" * (folder.skipped > 0)
    return f"; {folder.completed} classified{skipped}{'; the same command goes on' * (not overwrite)}"


def accuracy_notice(metadata: "ModelMetadata") -> str:
    """The model's measured accuracy, in a line."""
    accuracy, labels, among = metadata.accuracy, len(metadata.labels), ""
    if accuracy is None:
        from ser_edge.models.labels import ChosenMetadata

        if isinstance(metadata, ChosenMetadata):
            accuracy, labels = metadata.model_accuracy, len(metadata.label_map)
            among = f" among its own {labels} labels; among these {len(metadata.labels)} it was not measured"
    if accuracy is None:
        return f"model {metadata.name}: its accuracy was never measured"
    if accuracy.protocol == "all":
        return f"model {metadata.name}: its accuracy was never measured on speakers that it wasn't trained on"
    folds = f"{accuracy.folds} fold{'s' * (accuracy.folds > 1)}"
    test_speakers = metadata.training.get("not_heard") if accuracy.folds == 1 else None  # key of model files
    few = isinstance(test_speakers, list) and 0 < len(test_speakers) < 3
    speakers = "speakers it was not trained on" if accuracy.protocol == "speaker" else "SPEAKERS IT WAS TRAINED ON"
    return (
        f"model {metadata.name}: {accuracy.wa:.1f} % correct on {speakers} "
        f"(protocol {accuracy.protocol}, {folds}, UAR {accuracy.uar:.1f}; chance {100 / labels:.1f} %"
        f"{'; too few speakers to rely on' if few else ''}){among}"
    )
