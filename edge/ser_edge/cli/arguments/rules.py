"""Parses the command line of `ser-edge`, by the rules by which its options go together."""

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ser_edge.cli.arguments.argument_parser import ArgumentParser
from ser_edge.cli.arguments.options import parser
from ser_edge.cli.arguments.types import token

STDIN = "-"  # among the paths
_SUFFIXES = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".srt": "srt"}  # of --output
_SERVER = ("token", "allow_anyone", "allow_host", "allow_origin", "root_path", "max_upload", "max_seconds")
_KEPT = ("model", "threads", "threshold", "channel", "labels", "map", "window", "hop", "speech")  # by a unit


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses and checks a command line; exits with code 2 and one line on standard error if it is wrong."""
    command = parser()
    options = command.parse_args(arguments)
    options.format = options.format or _SUFFIXES.get(Path(options.output or "").suffix.lower(), "text")
    from_stdin = STDIN in options.paths
    streams = options.mic or from_stdin
    ends_at_once = options.describe or options.doctor or options.list_devices or options.unit
    if not (options.paths or options.mic or options.serve or ends_at_once):
        command.error("nothing to classify: give an audio file, a folder, - or --mic")
    if "" in options.paths:
        command.error("a PATH is empty; is a variable not set?")
    _check_server(command, options)
    if options.unit and ((options.mic and not options.serve) or options.paths or options.mqtt or options.device):
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


def _check_server(command: ArgumentParser, options: argparse.Namespace) -> None:
    """The rules of `--serve`; takes the token from the environment."""
    if options.serve is None:
        given = [name for name in _SERVER if getattr(options, name) != command.get_default(name)]
        if given:
            command.error(f"{_flag(given[0])} is for a server; add --serve")
        return
    if options.paths:
        command.error("--serve and PATH exclude each other; leave one out")
    if options.timeline:
        command.error("--timeline is for files; clients of --serve say v1/predict?timeline=1")
    for name in ("cluster", "duration"):
        if getattr(options, name) is not None:
            command.error(f"--{name} isn't for --serve; leave it out")
    if not options.mic and (options.mqtt or options.output or options.device):
        command.error("--mqtt, --output and --device are for a microphone; add --mic, or leave them out")
    if options.unit:
        if options.token:
            command.error(
                "--unit shows what it is given; put SER_EDGE_TOKEN=... into ser-edge.env, as the unit explains"
            )
        return
    if (secret := os.environ.get("SER_EDGE_TOKEN")) and not options.token:
        try:
            options.token = token(secret)
        except argparse.ArgumentTypeError as e:
            command.error(f"SER_EDGE_TOKEN: {e}")
    if options.token and options.allow_anyone:
        command.error("--allow-anyone is for a server without a token; leave one out")
    host = options.serve[0]
    if not (_is_loopback(host) or options.token or options.allow_anyone):
        command.error(f"--serve {host}: others can reach it; set SER_EDGE_TOKEN, or add --allow-anyone")


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def usage_error(message: str) -> NoReturn:
    """Exits as `parse` does, for what shows only later."""
    parser().error(message)


def kept_options(options: argparse.Namespace) -> list[str]:
    """The arguments by which a service recognises, and serves, as this command line says: those that were given."""
    command, here = parser(), Path(options.model)
    texts = {
        "model": str(here.absolute()) if here.is_file() else options.model,  # a service has another working directory
        "labels": ",".join(options.labels or ()),
        "map": ",".join(map("=".join, options.map)),
    }
    given = [name for name in _KEPT if getattr(options, name) != command.get_default(name)]
    kept = [f"--{name}={texts.get(name, getattr(options, name))}" for name in given]
    kept += ["--no-gate"] * options.no_gate
    if options.serve is None:
        return kept
    host, port = options.serve
    kept += ["--mic"] * options.mic
    kept.append(f"--serve={f'[{host}]' if ':' in host else host}:{port}")
    for name in _SERVER:
        value = getattr(options, name)
        if value != command.get_default(name):
            repeated = value if isinstance(value, list) else [value]
            kept += [_flag(name) if value is True else f"{_flag(name)}={each}" for each in repeated]
    return kept
