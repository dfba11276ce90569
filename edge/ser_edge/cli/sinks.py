"""Opens what predictions are written to, as the command line says: standard output, files, the live view, MQTT."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, TextIO

from ser_edge.cli.arguments.rules import STDIN, usage_error
from ser_edge.errors import printable
from ser_edge.errors.user_warnings import capture_warnings

if TYPE_CHECKING:
    from ser_edge.models.metadata import ModelMetadata
    from ser_edge.output.file import OutputFile
    from ser_edge.output.folder import OutputFolder
    from ser_edge.output.live_view import LiveView
    from ser_edge.output.writers import Sink


@dataclass(frozen=True)
class Outputs:
    """Where predictions go."""

    sinks: "tuple[Sink, ...]"  # for all of them
    folder: "OutputFolder | None" = None  # with files for each input
    view: "LiveView | None" = None  # also one of the sinks
    file: "OutputFile | None" = None  # likewise


def open_outputs(options: argparse.Namespace, metadata: "ModelMetadata", stack: ExitStack) -> Outputs:
    """Opens the MQTT broker if any, and a folder, a file, the live view or standard output; `stack` closes them."""
    sinks: list[Sink] = []
    if options.mqtt:
        from ser_edge.output.mqtt import MqttWriter

        sinks.append(stack.enter_context(closing(MqttWriter(options.mqtt, metadata, options.mqtt_every))))
    if options.output_dir is not None:
        return Outputs(tuple(sinks), _open_folder(options, metadata))
    if options.serve and not (options.mic and options.output):
        return Outputs(tuple(sinks))  # standard output stays empty: two lines a second would fill a service's journal
    form, stream = options.formats[0], options.mic or options.paths == [STDIN]
    if stream and form == "text" and not options.output and not options.merge:
        from ser_edge.output.live_view import LiveView, can_paint

        if can_paint(sys.stdout):
            view = stack.enter_context(closing(LiveView(sys.stdout, metadata)))
            stack.enter_context(capture_warnings(partial(_warn_below, view)))
            return Outputs((view, *sinks), view=view)
    from ser_edge.output.writers import WRITERS, MergingSink

    def writer(out: TextIO) -> "Sink":
        windows, live = options.timeline or options.mic or STDIN in options.paths, STDIN in options.paths[1:]
        printed = WRITERS[form](out, metadata, windows, live)
        return MergingSink(printed) if options.merge else printed

    if options.output is not None:
        file = stack.enter_context(closing(_open_file(options.output, options.paths, writer)))
        return Outputs((file, *sinks), file=file)
    return Outputs((stack.enter_context(closing(writer(sys.stdout))), *sinks))


def _warn_below(view: "LiveView", line: str) -> None:
    """Prints a warning below the picture, which would be painted over it; the next picture is below that."""
    from ser_edge.output.progress import log_warning

    view.close()
    log_warning(line)


def _open_folder(options: argparse.Namespace, metadata: "ModelMetadata") -> "OutputFolder":
    from ser_edge.output.folder import OutputFolder

    how = options.timeline, options.merge, options.overwrite
    try:
        return OutputFolder(options.output_dir, options.paths, options.formats, metadata, *how)
    except (OSError, ValueError) as e:  # ValueError: Windows has no folder above two drives
        usage_error(f"--output-dir {printable(options.output_dir)}: {getattr(e, 'strerror', None) or e}")


def _open_file(path: str, inputs: Sequence[str], writer: "Callable[[TextIO], Sink]") -> "OutputFile":
    from ser_edge.audio.formats import AUDIO_SUFFIXES
    from ser_edge.output.file import OutputFile

    if Path(path).suffix.lower() in AUDIO_SUFFIXES or _is_among(path, inputs):
        usage_error(f"--output {path}: would overwrite an audio file; give another name")
    try:
        return OutputFile(path, writer)
    except FileNotFoundError:
        usage_error(f"--output {path}: no such folder; make it: mkdir -p {quote(str(Path(path).parent))}")
    except OSError as e:
        usage_error(f"--output {path}: {e.strerror}")


def _is_among(path: str, inputs: Sequence[str]) -> bool:
    """Whether a file is one of the inputs, by any name: an audio file may have no suffix that tells."""
    if not Path(path).is_file():
        return False
    for given in inputs:
        try:
            status = os.fstat(0) if given == STDIN else Path(given).stat()
        except OSError:  # none there; reading it will report that
            continue
        if os.path.samestat(status, Path(path).stat()):
            return True
    return False
