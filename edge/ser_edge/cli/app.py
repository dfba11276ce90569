"""The command `ser-edge`: files and folders in, a line for each out. What it imports, it imports when it needs it."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ser_edge.cli.args import STDIN, format_of, parser, problem
from ser_edge.errors import SerEdgeError, printable
from ser_edge.errors.native_stderr import isolate_stderr

if TYPE_CHECKING:
    from distributed import Client

    from ser_edge.cli.predict import ListenOptions
    from ser_edge.models.metadata import ModelMetadata
    from ser_edge.output.mqtt import Broker
    from ser_edge.recognition.batch.tasks import OnPrediction, RecognizerConfig
    from ser_edge.recognition.prediction import Prediction
    from ser_edge.recognition.recognizer import Recognizer

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    reader = parser()
    options = reader.parse_args(arguments)
    options.format = format_of(options)
    if senseless := problem(options):
        reader.error(senseless)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path can hold what a terminal's encoding can't
    try:
        with isolate_stderr():
            code = _run(options, reader)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except SerEdgeError as error:
        print(f"ser-edge: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ser-edge: stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except OSError as error:  # of the answers' way out: inputs that can't be read are AudioErrors
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at exit
        if isinstance(error, BrokenPipeError):  # `| head -1` has what it wanted
            return 0
        print(f"ser-edge: can't write the answers: {error.strerror}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace, reader: argparse.ArgumentParser) -> int:
    if options.list_devices:
        from ser_edge.capture.devices import choose, devices

        found = devices() or [choose()]  # which says why there is none
        print(*found, sep="\n")
        return 0
    if options.unit:
        from ser_edge.service.systemd_unit import unit

        print(unit(options.unit), end="")
        return 0
    if options.doctor:
        from ser_edge.cli.doctor import run_doctor

        return run_doctor(sys.stdout, options.device)
    from ser_edge.cli.predict import sounds
    from ser_edge.recognition.batch.tasks import RecognizerConfig
    from ser_edge.recognition.windows import WindowConfig

    if options.format == "srt" and len(list(islice(sounds(options.paths), 2))) > 1:
        reader.error("subtitles are of one recording; give one file")
    try:
        windowing = WindowConfig(options.window, options.hop, None if options.no_gate else options.speech)
        setup = RecognizerConfig(options.model, options.threads, options.threshold, windowing, options.channel)
        recognizer = setup.build()
    except ValueError as e:
        reader.error(str(e))
    if options.describe:
        print(recognizer.metadata.to_json())
        return 0
    return _judge(options, reader, setup, recognizer)


def _judge(
    options: argparse.Namespace,
    reader: argparse.ArgumentParser,
    setup: "RecognizerConfig",
    recognizer: "Recognizer",
) -> int:
    from ser_edge.cli.predict import ListenOptions, PredictOptions, listen_to_microphone, predict_files
    from ser_edge.output.progress import log_line
    from ser_edge.output.writers import WRITERS

    timeline = options.timeline or options.format == "srt"
    endless = options.mic or STDIN in options.paths
    make_writer = WRITERS[options.format]
    with (
        _connected(options.cluster) as client,
        _published(options.mqtt, recognizer.metadata) as publish,
        _output(options.output, reader) as out,  # last: it empties a file that is there
        closing(make_writer(out, recognizer.metadata, timeline or endless)) as writer,
    ):

        def show(prediction: "Prediction") -> None:
            writer.write(prediction)
            publish(prediction)

        listening = _listening(options, out, recognizer.metadata, publish) if endless else ListenOptions()
        judged, failed = 1, 0
        if options.mic:
            listen_to_microphone(recognizer, options.device, show, listening)
        else:
            way = PredictOptions(timeline, options.jobs, client)
            judged, failed = predict_files(setup, recognizer, options.paths, show, listening, way)
    if options.format == "text" and judged:
        log_line(accuracy_notice(recognizer.metadata))
    if failed and judged:
        log_line(f"ser-edge: {judged} judged, {failed} failed")
    return 1 if failed else 0


def _listening(
    options: argparse.Namespace, out: TextIO, metadata: "ModelMetadata", publish: "OnPrediction"
) -> "ListenOptions":
    from ser_edge.audio.decoding.standard_input import RawFormat
    from ser_edge.cli.predict import ListenOptions

    view = None
    if options.format == "text" and not options.output:
        from ser_edge.output.live_view import LiveView, can_paint

        if can_paint(out):
            view = LiveView(out, metadata)
    raw = RawFormat(options.rate, options.channels, options.sample_format) if options.rate else None
    return ListenOptions(view, publish, options.duration, raw, options.channel)


def _connected(address: str | None) -> "AbstractContextManager[Client | None]":
    """A client of a Dask cluster; None for no address."""
    if address is None:
        return nullcontext()
    from ser_edge.recognition.batch.dask_backend import cluster_client

    return cluster_client(address)


@contextmanager
def _published(broker: "Broker | None", metadata: "ModelMetadata") -> "Iterator[OnPrediction]":
    """What publishes a prediction; does nothing for no broker."""
    if broker is None:
        yield lambda prediction: None
        return
    from ser_edge.output.mqtt import MqttWriter

    with closing(MqttWriter(broker, metadata)) as writer:
        yield writer.write


def _output(path: str | None, reader: argparse.ArgumentParser) -> AbstractContextManager[TextIO]:
    """The file that answers go to, or standard output."""
    from ser_edge.audio.formats import AUDIO_SUFFIXES

    if path is None:
        return nullcontext(sys.stdout)
    if Path(path).suffix.lower() in AUDIO_SUFFIXES:
        reader.error(f"--output {path}: would write answers over a sound; give another name")
    try:
        return Path(path).open("w", encoding="utf-8", errors="backslashreplace")  # as standard output
    except OSError as e:
        reader.error(f"--output {printable(path)}: {e.strerror}")


def accuracy_notice(metadata: "ModelMetadata") -> str:
    """What the model's answers are worth, in a line."""
    accuracy, chance = metadata.accuracy, 1 / len(metadata.labels)
    if accuracy is None:
        return f"model {metadata.name}: its accuracy was never measured"
    if accuracy.protocol == "all":
        return f"model {metadata.name}: its accuracy was never measured on voices that it wasn't trained on"
    folds = f"{accuracy.folds} fold{'s' * (accuracy.folds > 1)}"
    tested = metadata.training.get("not_heard") if accuracy.folds == 1 else None
    few = isinstance(tested, list) and 0 < len(tested) < 3
    heard = "voices it never heard" if accuracy.protocol == "speaker" else "VOICES IT KNOWS"
    return (
        f"model {metadata.name}: right {accuracy.wa:.1f} % of the time on {heard} "
        f"(protocol {accuracy.protocol}, {folds}, UAR {accuracy.uar:.1f}; chance {100 * chance:.1f} %"
        f"{'; of so few voices it says little' if few else ''})"
    )
