"""A progress bar on standard error, lines that don't tear it, and which of them are printed."""

import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ser_edge.errors import SerEdgeError, printable
from ser_edge.errors.native_stderr import STDERR_LOCK

if TYPE_CHECKING:
    from tqdm import tqdm

DELAY = 0.5  # seconds; shorter work shows no bar
_FORMAT = "{percentage:3.0f} %|{bar}| of {total} files [{elapsed}<{remaining}]"


def progress_bar(files: int) -> "tqdm[None]":
    """A bar for so many files, to be used as a context manager; leaves its last state on a line of its own."""
    from tqdm import tqdm

    return tqdm(total=files, file=sys.stderr, bar_format=_FORMAT, delay=DELAY)


def finish_file(bar: "tqdm[None]") -> None:
    """Moves the bar to the end of the present file."""
    bar.update(_files_done(bar) + 1 - bar.n)


def advance_within_file(bar: "tqdm[None]", seconds: float, total: float) -> None:
    """Moves the bar within the present file: to `seconds` of `total`, which is 0 if unknown."""
    bar.update(_files_done(bar) + (min(seconds / total, 0.99) if total else 0.0) - bar.n)


def _files_done(bar: "tqdm[None]") -> int:
    return int(bar.n + 1e-6)  # fractions leave rounding errors


def log_line(line: str) -> None:
    """Prints a line on standard error, above the bar if there is one; a closed terminal is ignored."""
    tqdm = sys.modules.get("tqdm")
    with STDERR_LOCK, suppress(OSError):
        if tqdm:
            tqdm.tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr)


def log_warning(line: str) -> None:
    """Prints a warning."""
    log_line(f"ser-edge: {printable(line)}")


@dataclass(frozen=True)
class Log:
    """What is printed on standard error beside warnings."""

    notices: bool = True  # the accuracy, summaries and progress; not with --quiet
    details: bool = False  # what is used, how long it takes, and the codes of errors; with --verbose

    def error(self, error: SerEdgeError) -> None:
        """Prints an error."""
        log_line(f"ser-edge: {error}{f' [{error.code}]' * self.details}")

    def notice(self, line: str) -> None:
        """Prints a notice."""
        if self.notices:
            log_line(line)

    def detail(self, line: str) -> None:
        """Prints a detail."""
        if self.details:
            log_line(f"ser-edge: {line}")
