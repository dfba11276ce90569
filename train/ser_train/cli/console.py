"""What several commands share: ranges of numbers, the finished runs among the paths given, and a table's two places."""

import argparse
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ser_edge.cli.arguments.argument_parser import ArgumentParser

if TYPE_CHECKING:
    from ser_train.runs.run_directory import RunDirectory

Commands: TypeAlias = "argparse._SubParsersAction[ArgumentParser]"


def at_least(lowest: int, highest: float = math.inf) -> Callable[[str], int]:
    """An argparse type: whole numbers not below `lowest`, nor above `highest`.

    >>> at_least(1)("2")
    2
    """

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = lowest - 1
        if not lowest <= value <= highest:
            bounds = f"{lowest} or more" if highest == math.inf else f"{lowest} to {highest}"
            raise argparse.ArgumentTypeError(f"must be {bounds}")
        return value

    return number


def finished_runs(paths: Iterable[Path]) -> list["RunDirectory"]:
    """The finished runs; each other path is reported on standard error and left out."""
    from ser_train.runs.run_directory import RunDirectory

    runs = [RunDirectory(path) for path in paths]
    for run in runs:
        if not run.finished:
            print(f"ser-train: {run.path}: not a finished run, left out", file=sys.stderr)
    return [run for run in runs if run.finished]


def print_table(table: str, markdown: Path | None) -> None:
    """Prints a table, after writing it to the file given with --markdown."""
    from ser_train.data.atomic import write_text

    if markdown:
        write_text(markdown, table)
    print(table, end="")
