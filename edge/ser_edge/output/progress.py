"""A bar on standard error where it helps, and lines that don't tear it."""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ser_edge.errors.native_stderr import STDERR_LOCK

__all__ = ["Progress", "log_line"]


class Progress:
    """How many inputs are done, and how far the present ones; shown where answers don't appear on the same terminal.

    Args:
        inputs: says how many there are; asked only if there is a bar, since it may have to look through folders.
    """

    DELAY = 0.5  # seconds; what is done sooner has no bar

    def __init__(self, inputs: Callable[[], int]):
        self._done = 0
        self._bar: Any = None
        if sys.stderr.isatty() and not sys.stdout.isatty():
            from threading import Lock

            from tqdm import tqdm

            self._total = inputs()
            # The description counts what is done; the bar also moves within a file.
            form = "{percentage:3.0f} %|{bar}| {desc} [{elapsed}<{remaining}]"
            self._bar = tqdm(
                desc=self._count(), total=self._total, file=sys.stderr, bar_format=form, delay=self.DELAY, miniters=0
            )
            self._lock = Lock()

    def close(self) -> None:
        """Leaves it as it is, on a line of its own."""
        if self._bar is not None:
            self._bar.close()

    def within(self, done: float, total: float) -> None:
        """So much of the present input is done."""
        self.parts(min(1.0, done / total) if total else 0.0)

    def parts(self, parts: float) -> None:
        """So much of the present inputs is done, in inputs."""
        if self._bar is not None:
            self._show(0, parts)

    def next(self, inputs: int = 1) -> None:
        """So many inputs are done; may be called by any thread."""
        if self._bar is not None:
            self._show(inputs, 0.0)

    def _show(self, done: int, part: float) -> None:
        with self._lock:
            self._done += done
            self._bar.set_description_str(self._count(), refresh=False)
            self._bar.update(self._done + part - self._bar.n)

    def _count(self) -> str:
        return f"{self._done}/{self._total} files"


def log_line(line: str) -> None:
    """A line on standard error that doesn't tear the bar; where nobody reads it any more, nothing."""
    tqdm = sys.modules.get("tqdm")
    with STDERR_LOCK, suppress(OSError):  # the terminal was closed
        if tqdm:
            tqdm.tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr)
