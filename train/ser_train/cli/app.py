"""The command `ser-train`: a module for each sub-command, and one place that turns errors into exit codes.

The command line is parsed before anything heavy is imported, so `--help` and usage errors need neither Keras nor
matplotlib: the modules of this package import what they call only when they run.
"""

import argparse
import errno
import io
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool

from ser_edge import __version__
from ser_edge.cli.arguments.argument_parser import ArgumentParser
from ser_edge.errors import SerEdgeError
from ser_edge.errors.install_hints import install_extra
from ser_edge.errors.termination import exit_code, raise_on_sigterm
from ser_train.cli import cross_corpus, evaluate, report, robustness, select, train

ALIASES = {"choose": "select", "conditions": "robustness", "across": "cross-corpus"}  # names of 0.1

_EPILOG = """\
`ser-train --data ...` without a command is `ser-train train --data ...`.

examples:
  ser-train --arch gru --protocol speaker            five trainings, each tested on unseen speakers
  ser-train evaluate runs/* --out results.json       the table of accuracies
  ser-train robustness RUN --data ravdess/           noise, telephone, rooms, and live windows
  ser-train cross-corpus RUN --data nemo/            corpora that the network wasn't trained on
  ser-train report RUN                               an HTML page with plots
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path can have characters that the encoding hasn't
    try:
        with raise_on_sigterm():
            return int(options.run(options))
    except SerEdgeError as error:
        print(f"ser-train: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # a full disk, or a folder that can't be written
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        advice = "; free some space and run the same command again to go on" if full else ""
        print(f"ser-train: {error}{advice}", file=sys.stderr)
        return 1
    except BrokenProcessPool:
        reason = "a worker process died, perhaps for lack of memory"
        print(f"ser-train: {reason}; run the same command again to go on, with --jobs 1", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"ser-train: {error.name} is not installed; try: {install_extra('train')}", file=sys.stderr)
        return 4
    except KeyboardInterrupt as stop:
        print("ser-train: stopped; run the same command again to go on", file=sys.stderr)
        return exit_code(stop)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses a command line; `run(options)` of the result executes it. Ends the process on a usage error."""
    parser = ArgumentParser(
        prog="ser-train",
        description="Trains speech emotion networks and evaluates them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ser-train {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (train, evaluate, select, robustness, cross_corpus, report):
        module.add_parser(commands)
    command, *rest = arguments or ["train"]
    command = ALIASES.get(command, command)
    if command not in (*commands.choices, "-h", "--help", "--version"):
        command, rest = "train", list(arguments)
    options, unknown = parser.parse_known_args([command, *rest])
    if unknown:  # argparse would name `ser-train --help`
        commands.choices[command].error(f"unrecognized arguments: {' '.join(unknown)}")
    return options
