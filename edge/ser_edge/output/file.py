"""A file for all predictions: `--output`.

A run replaces what is there with its first prediction, or at its end if there was nothing to predict. A run that can't
start, or whose inputs all fail, leaves it alone. Whether the file can be written shows before anything is classified.
"""

import os
import stat
from collections.abc import Callable
from typing import TextIO

from ser_edge.output.writers import Sink
from ser_edge.recognition.prediction import Prediction


class OutputFile(Sink):
    """Writes predictions into a file, whose old content they replace.

    Args:
        path: made if it isn't there; a pipe or a device is written to as it is.
        writer: makes the sink that prints into the file, once that is empty.

    Raises:
        OSError: it can't be written.
    """

    def __init__(self, path: str, writer: Callable[[TextIO], Sink]):
        # Path.open has no opener. The errors are handled as on standard output.
        self._out = open(path, "w", encoding="utf-8", errors="backslashreplace", opener=_keep_content)  # noqa: SIM115
        self._make_writer = writer
        self._writer: Sink | None = None

    def begin(self) -> Sink:
        """Replaces what is in the file, if that isn't done; gives the sink that prints into it."""
        if self._writer is None:
            if stat.S_ISREG(os.fstat(self._out.fileno()).st_mode):
                self._out.truncate(0)
            self._writer = self._make_writer(self._out)
        return self._writer

    def write(self, prediction: Prediction) -> None:
        """Passes it on; the first one replaces what is in the file."""
        self.begin().write(prediction)

    def close(self) -> None:
        """Closes the file; without `begin` it is as it was."""
        with self._out:
            if self._writer is not None:
                self._writer.close()


def _keep_content(path: str, flags: int) -> int:
    return os.open(path, flags & ~os.O_TRUNC, 0o666)
