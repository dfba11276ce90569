"""Parses the command line of `ser-edge`, by the rules by which its options go together."""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ser_edge.cli.arguments.options import parser

STDIN = "-"  # among the paths
_SUFFIXES = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".srt": "srt"}  # of --output
_KEPT = ("model", "threads", "threshold", "channel", "labels", "map", "window", "hop", "speech")  # by a unit


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses and checks a command line; exits with code 2 and one line on standard error if it is wrong."""
    command = parser()
    options = command.parse_args(arguments)
    options.format = options.format or _SUFFIXES.get(Path(options.output or "").suffix.lower(), "text")
    from_stdin = STDIN in options.paths
    streams = options.mic or from_stdin
    ends_at_once = options.describe or options.doctor or options.list_devices or options.unit
    if not (options.paths or options.mic or ends_at_once):
        command.error("nothing to classify: give an audio file, a folder, - or --mic")
    if "" in options.paths:
        command.error("a PATH is empty; is a variable not set?")
    if options.unit and (options.mic or options.paths or options.mqtt or options.device):
        command.error("--unit only prints a unit; these options go into SER_EDGE_OPTIONS, as the unit explains")
    if options.mic and options.paths:
        command.error("--mic and PATH exclude each other; leave one out")
    if options.rate is not None and not from_stdin:
        command.error("--rate is for standard input; add -")
    if options.duration is not None and not streams:
        command.error("--duration is for --mic and standard input; add one of them")
    if options.cluster is not None and streams:
        command.error("--cluster classifies files; leave --mic and - out")
    if repeated := next((label for label, n in Counter(label for label, _ in options.map).items() if n > 1), None):
        command.error(f"--map: {repeated} is mapped twice; map it once")
    if options.cluster is not None and options.jobs is not None:
        command.error("--jobs is for this machine; leave it out with --cluster")
    return options


def usage_error(message: str) -> NoReturn:
    """Exits as `parse` does, for what shows only later."""
    parser().error(message)


def kept_options(options: argparse.Namespace) -> list[str]:
    """The arguments by which a service recognises as this command line says: those of its options that were given."""
    command, here = parser(), Path(options.model)
    texts = {
        "model": str(here.absolute()) if here.is_file() else options.model,  # a service has another working directory
        "labels": ",".join(options.labels or ()),
        "map": ",".join(map("=".join, options.map)),
    }
    given = [name for name in _KEPT if getattr(options, name) != command.get_default(name)]
    kept = [f"--{name}={texts.get(name, getattr(options, name))}" for name in given]
    return kept + ["--no-gate"] * options.no_gate
