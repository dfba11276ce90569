"""A bar on standard error where it helps, and lines that don't tear it."""

import sys
from collections.abc import Callable
from typing import Any

from ser_edge.native import STANDARD_ERROR

__all__ = ["Progress", "say"]


class Progress:
    """How many inputs are done, and how far the present ones; shown where answers don't appear on the same terminal.

    Args:
        inputs: says how many there are; asked only if there is a bar, since it may have to look through folders.
    """

    def __init__(self, inputs: Callable[[], int]):
        self._done = 0
        self._bar: Any = None
        if sys.stderr.isatty() and not sys.stdout.isatty():
            from threading import Lock

            from tqdm import tqdm

            form = "{l_bar}{bar}| {n:.1f}/{total} files [{elapsed}<{remaining}]"
            self._bar = tqdm(total=inputs(), file=sys.stderr, bar_format=form, delay=0.5)
            self._lock = Lock()

    def close(self) -> None:
        """Leaves it as it is."""
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
            self._bar.n = self._done + part
            self._bar.refresh()


def say(line: str) -> None:
    """A line on standard error that doesn't tear the bar."""
    tqdm = sys.modules.get("tqdm")
    with STANDARD_ERROR:
        if tqdm:
            tqdm.tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr)
