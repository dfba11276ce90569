"""A bar on standard error where it helps, and lines that don't tear it."""

import sys
from typing import Any

__all__ = ["Progress", "say"]


class Progress:
    """How many inputs are done, and how far the present one is; shown where answers don't appear on the same terminal.

    Args:
        inputs: how many there are.
    """

    def __init__(self, inputs: int):
        self._done = 0
        self._bar: Any = None
        if sys.stderr.isatty() and not sys.stdout.isatty():
            from tqdm import tqdm

            form = "{l_bar}{bar}| {n:.1f}/{total} files [{elapsed}<{remaining}]"
            self._bar = tqdm(total=inputs, file=sys.stderr, bar_format=form, delay=0.5)

    def close(self) -> None:
        """Leaves it as it is."""
        if self._bar is not None:
            self._bar.close()

    def within(self, done: float, total: float) -> None:
        """So much of the present input is done."""
        if self._bar is not None:
            self._bar.n = self._done + (min(1.0, done / total) if total else 0.0)
            self._bar.refresh()

    def next(self) -> None:
        """The present input is done."""
        self._done += 1
        self.within(0, 0)


def say(line: str) -> None:
    """A line on standard error that doesn't tear the bar."""
    tqdm = sys.modules.get("tqdm")
    if tqdm:
        tqdm.tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)
