"""Whole processes: what a command costs from its start to its end.

The kernel counts as a process's peak memory also what its parent held when it was started. So a case that measures
memory imports the standard library and nothing else, and shows what `python -c pass` needs: its own size at least.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.timing import Figures

__all__ = ["CommandError", "run"]

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes; of ru_maxrss
_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"  # with it a checkout compiles at each start what pip compiles once


class CommandError(Exception):
    """A measured command that failed; the message is the last line it wrote."""


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> tuple[Figures, str]:
    """Runs a command and waits for it.

    Args:
        command: the program and its arguments.
        environment: added to this process's, in which a program may store its bytecode.

    Returns:
        Wall and CPU seconds, those of its own children included, and peak resident bytes; and its standard output.

    Raises:
        CommandError: it failed.
    """
    figures: Figures = {}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        inherited = {name: value for name, value in os.environ.items() if name != _NO_BYTECODE}
        started = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=errors, env={**inherited, **(environment or {})})
        _, status, usage = os.wait4(child.pid, 0)
        figures["cpu"] = usage.ru_utime + usage.ru_stime
        figures["wall"] = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        figures["memory"] = usage.ru_maxrss * _RSS_UNIT
        out.seek(0)
        errors.seek(0)
        if child.returncode:
            lines = errors.read().strip().splitlines() or [f"exit code {child.returncode}"]
            raise CommandError(lines[-1])
        return figures, out.read()
