"""Runs the tests under variations, a line for each: `make test-variations`, or `python -m tests.variations`."""

import argparse
import os
import pty
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.variations.machine import processor
from tests.variations.table import ROOT, VARIATIONS, Variation

__all__ = ["main", "run"]

LOGS = ROOT / "build" / "variations"
_WHICH = """By default a processor's
run tests/edge, tests/parity and tests/export; TensorFlow's (onednn-*) parity, export and train;
those of kernels and the emulated ones the files that open models; a user's the tests of the
commands; and one-thread, non-root, time-zone, random and parallel run all."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_COUNTS = re.compile(r"\b(\d+ (?:failed|passed|skipped|errors?|xfailed|deselected))\b")
_NO_TESTS = 5  # pytest's exit code


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 1 if a variation failed; one that is impossible here is reported, and is no failure."""
    parser = argparse.ArgumentParser(
        prog="make test-variations",
        description=f"Runs the tests under what other machines have. {_WHICH}\n\nVariations:\n"
        + "\n".join(f"  {name:<17} {variation.meaning}" for name, variation in VARIATIONS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", metavar="VARIATION", help="all if none is given, which takes hours on 2 cores"
    )
    parser.add_argument("--tests", nargs="+", metavar="PATH", help="these instead of the variation's own")
    parser.add_argument("--all", action="store_true", help="all tests, whatever the variation")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in VARIATIONS]:
        parser.error(f"no variation {', '.join(unknown)}; there are {', '.join(VARIATIONS)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    print(processor())
    failed = 0
    for name in options.names or VARIATIONS:
        variation = VARIATIONS[name]
        if reason := variation.missing():
            print(f"not here  {name:<17} {reason}", flush=True)
            continue
        began = time.monotonic()
        tests = () if options.all else options.tests or variation.tests
        code, counts = run(variation, tests, LOGS / f"{name}.log")
        failed += code != 0
        took = f"{time.monotonic() - began:.0f} s"
        print(f"{'FAILED' if code else 'passed':<9} {name:<17} {variation.meaning}: {counts}, {took}", flush=True)
        if code:
            print(f"          see {(LOGS / name).relative_to(ROOT)}.log", flush=True)
    return 1 if failed else 0


def run(variation: Variation, tests: Sequence[str], log: Path) -> tuple[int, str]:
    """Runs pytest under a variation.

    Args:
        variation: one that can be made here.
        tests: paths below the project; none for all.
        log: the file that gets what pytest writes.

    Returns:
        pytest's exit code, and what its last line counts.
    """
    with tempfile.TemporaryDirectory(prefix="ser-edge-", ignore_cleanup_errors=True) as folder:
        scratch = Path(folder) / "scratch"
        scratch.mkdir()
        Path(folder).chmod(0o755)  # another user's tests get there
        asked = variation.environment
        changes = {"HYPOTHESIS_STORAGE_DIRECTORY": f"{scratch}/hypothesis"}
        changes |= asked(scratch) if callable(asked) else asked
        environment = {name: value for name, value in {**os.environ, **changes}.items() if value is not None}
        command = [*variation.command(), sys.executable, "-m", "pytest", *variation.options, *tests]
        with log.open("wb") as out:
            stream, reader = out.fileno(), None
            if variation.terminal:
                reader, stream = pty.openpty()
            company = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(variation.company)]
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                preexec_fn=variation.before,
                stdin=stream if variation.terminal else subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=variation.terminal,
            )
            if reader is not None:
                os.close(stream)
                _copy(reader, log)
            try:
                code = process.wait()
            finally:
                for other in company:
                    other.kill()
                    other.wait()
        scratch.chmod(0o755)
    lines = _COLOURS.sub("", log.read_text("utf-8", "replace")).rstrip().splitlines()
    counts = ", ".join(_COUNTS.findall(lines[-1] if lines else ""))
    return code, counts or ("no test was run" if code in (0, _NO_TESTS) else f"pytest ended with {code}")


def _copy(reader: int, log: Path) -> None:
    """What is written to a terminal, until its last writer has gone."""
    with log.open("wb") as out:
        while True:
            try:
                data = os.read(reader, 1 << 16)
            except OSError:  # on Linux: nobody holds the other end
                data = b""
            if not data:
                os.close(reader)
                return
            out.write(data)


if __name__ == "__main__":
    sys.exit(main())
