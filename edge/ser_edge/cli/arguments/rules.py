"""Parses the command line of `ser-edge`, by the rules by which its options go together."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ser_edge.cli.arguments.argument_parser import ArgumentParser
from ser_edge.cli.arguments.options import MQTT_EVERY, parser
from ser_edge.cli.arguments.types import token

DEFAULTS = "SER_EDGE_OPTIONS"  # environment variable with options that come before those of the command line
STDIN = "-"  # among the paths
_SUFFIXES = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv"}  # of --output
_CUES = {".srt": "srt", ".vtt": "vtt", ".labels.txt": "audacity"}  # their formats are for one recording, in windows
_REPLACED = ("labels", "map")  # may be given several times; those of the command line replace the environment's
_SERVER = ("token", "allow_anyone", "allow_host", "allow_origin", "root_path", "max_upload", "max_seconds")
_KEPT = ("model", "threads", "jobs", "threshold", "channel", "labels", "map", "window", "hop", "speech")  # by a unit
_PRINTING = ("describe", "doctor", "list_devices", "unit", "print_completion")  # in place of predictions
# Options in the environment, and those that exclude them: where the command line has one of these, it counts.
_EXCLUDED_BY = {
    "quiet": {"verbose"},
    "verbose": {"quiet"},
    "jobs": {"cluster"},
    "cluster": {"jobs", "mic", STDIN, "serve"},
    "output": {"output_dir"},
    "output_dir": {"output", "mic", STDIN, "serve"},
    "no_gate": {"speech"},
    "speech": {"no_gate"},
    "token": {"allow_anyone"},
    "allow_anyone": {"token"},
    "mic": {"paths", "cluster", "output_dir"},
    "serve": {"paths", "cluster", "output_dir", "timeline", "duration"},
    "timeline": {"serve"},
    "duration": {"serve"},
}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses and checks a command line; exits with code 2 and one line on standard error if it is wrong."""
    command = _parser()
    words = sys.argv[1:] if arguments is None else list(arguments)
    options, given = command.parse_args(words), _given(command, words)
    if not options.unit and (defaults := _defaults(command, words)):  # a service reads its own
        here, options = options, command.parse_args([*defaults, *words])
        for name in given.intersection(_REPLACED):
            setattr(options, name, getattr(here, name))
        for name, others in _EXCLUDED_BY.items():
            if name not in given and others & given:
                setattr(options, name, command.get_default(name))
    if os.name == "nt":  # its shells leave wildcards to the programs
        options.paths = expanded(options.paths)
    if options.output == STDIN:
        options.output = None  # standard output
    if options.serve is not None:
        _check_served(command, options, given)
    kept = {*_KEPT, *_SERVER, *_PRINTING, "no_gate", "serve", *["mic"] * bool(options.serve)}
    if options.unit and given - kept:
        command.error(f"--unit only prints a unit; these options go into {DEFAULTS}, as the unit explains")
    if options.formats is None:
        name, suffixes = (options.output or "").lower(), _SUFFIXES | _CUES
        by_suffix = next((form for suffix, form in suffixes.items() if name.endswith(suffix)), "text")
        options.formats = ("json" if options.output_dir is not None else by_suffix,)
    options.has_cues = not set(_CUES.values()).isdisjoint(options.formats)
    options.timeline = options.timeline or options.merge or options.has_cues
    from_stdin = STDIN in options.paths
    streams = options.mic or from_stdin
    prints = any(getattr(options, name) for name in _PRINTING)
    if not (options.paths or options.mic or options.serve or prints):
        command.error("nothing to classify: give an audio file, a folder, - or --mic")
    if "" in options.paths:
        command.error("a PATH is empty; is a variable not set?")
    _check_server(command, options, given)
    if options.mic and options.paths:
        command.error("--mic and PATH exclude each other; leave one out")
    if "rate" in given and not from_stdin:
        command.error("--rate is for standard input; add -")
    if {"channels", "sample_format"} & given and not (from_stdin and options.rate):
        command.error("--channels and --sample-format are for samples without a header; add --rate and -")
    if "device" in given and not (options.mic or options.doctor):
        command.error("--device is for --mic and --doctor; add one of them")
    if "duration" in given and not streams:
        command.error("--duration is for --mic and standard input; add one of them")
    if options.quiet and options.verbose:
        command.error("--quiet and --verbose exclude each other; leave one out")
    if {"no_gate", "speech"} <= given:
        command.error("--no-gate and --speech exclude each other; leave one out")
    if options.output_dir is not None and (streams or options.output is not None):
        command.error("--output-dir is for files, and in place of --output; leave out --mic, - and --output")
    if options.output_dir == "":
        command.error("the DIR of --output-dir is empty; is a variable not set?")
    if options.output == "":
        command.error("the FILE of --output is empty; is a variable not set?")
    if options.output_dir is None and ("overwrite" in given or len(options.formats) > 1):
        command.error("--overwrite and several formats are for --output-dir; add it, or give one format")
    if options.mqtt is None and "mqtt_every" in given:
        command.error("--mqtt-every is for --mqtt; add it")
    if options.mqtt_every is None:
        options.mqtt_every = MQTT_EVERY
    if options.cluster is not None and streams:
        command.error("--cluster classifies files; leave --mic and - out")
    if repeated := next((label for label, n in Counter(label for label, _ in options.map).items() if n > 1), None):
        command.error(f"--map: {repeated} is mapped twice; map it once")
    if options.cluster is not None and options.jobs is not None:
        command.error("--jobs is for this machine; leave it out with --cluster")
    return options


def expanded(paths: Sequence[str]) -> list[str]:
    """The files that paths with * and ? stand for, as a shell gives them; one that stands for none stays as it is."""
    from glob import glob

    wild = [path for path in paths if {"*", "?"} & set(path)]
    found = {path: sorted(glob(path.replace("[", "[[]"))) for path in wild}  # noqa: PTH207
    return [file for path in paths for file in found.get(path) or [path]]


def _given(command: ArgumentParser, words: Sequence[str]) -> set[str]:
    """The names of the options that words set, be it to their defaults; `paths` and `-` where there are some."""
    unset = argparse.Namespace(**dict.fromkeys(vars(command.parse_args([]))))
    values = vars(command.parse_args(words, unset))
    return {name for name, value in values.items() if value not in (None, [])} | {STDIN}.intersection(values["paths"])


def _check_served(command: ArgumentParser, options: argparse.Namespace, given: set[str]) -> None:
    """What is classified by `--serve`, and where predictions go."""
    if options.paths:
        command.error("--serve takes no PATH; clients send their files to its address")
    if options.output_dir is not None:
        command.error("--output-dir is for files; leave it out with --serve")
    if options.timeline:
        command.error("--timeline is for files; clients of --serve say v1/predict?timeline=1")
    if not options.mic and {"mqtt", "output", "device"} & given:
        command.error("--mqtt, --output and --device are for a microphone; add --mic, or leave them out")
    if not options.mic:
        options.mqtt = options.output = None  # the environment's
    if "merge" in given and not options.output:
        command.error("--merge is for --mic with --output; clients of --serve say v1/predict?merge=1")
    if "formats" in given and not options.output:
        command.error("--format is for --mic with --output; clients of --serve get JSON")


def _check_server(command: ArgumentParser, options: argparse.Namespace, given: set[str]) -> None:
    """The rules of `--serve`; takes the token from the environment."""
    if options.serve is None:
        if alone := next((name for name in _SERVER if name in given), None):
            command.error(f"{_flag(alone)} is for a server; add --serve")
        return
    for name in ("cluster", "duration"):
        if getattr(options, name) is not None:
            command.error(f"--{name} isn't for --serve; leave it out")
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
    _parser().error(message)


def _parser(source: str = "") -> ArgumentParser:
    command = parser()
    command.source = source
    if os.environ.get(DEFAULTS):
        command.hint = f", and {DEFAULTS}"
    return command


def _defaults(command: ArgumentParser, given: Sequence[str]) -> list[str]:
    """The options in the environment, checked by themselves, so that an error names where they are."""
    text = os.environ.get(DEFAULTS)
    if not text:
        return []
    try:
        words = split_words(text, os.name == "nt")
    except ValueError as e:
        command.error(f"{DEFAULTS}: {e}")
    if words == list(given)[len(given) - len(words) :]:  # a unit made by 0.1 passes them itself
        return []
    if _parser(f"{DEFAULTS}: ").parse_args(words).paths:
        command.error(f"{DEFAULTS} is for options; files go on the command line")
    return words


def split_words(text: str, windows: bool) -> list[str]:
    """A text as a shell splits it; on Windows a backslash is part of a path."""
    from shlex import shlex

    lexer = shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    if windows:
        lexer.escape = ""
    return list(lexer)


def kept_options(options: argparse.Namespace) -> list[str]:
    """The arguments by which a service recognises, and serves, as this command line says: those that were given."""
    command, here = _parser(), Path(options.model)
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
