"""Counts how often a reader of ser_edge changes the module while following a sound file from the command to its answer.

A hop is a distinct pair (calling function, called function) in two different modules of ser_edge, taken from a trace of
`ser-edge FILE`. The file is predicted twice in one process, and the second time is traced: imports and caches that are
filled once don't count.

    python tests/tools/hops.py tests/sounds/plain.wav
"""

import argparse
import contextlib
import io
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import ser_edge
from ser_edge.cli.app import main as ser_edge_command

PACKAGE = Path(ser_edge.__file__).parent


class Function(NamedTuple):
    """A function of ser_edge, by the path of its module below the package."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module} {self.name}"


def trace(path: str) -> tuple[set[str], set[tuple[Function, Function]]]:
    """The modules that take part in predicting a file, and the hops between them."""
    stack: list[Function] = []
    modules: set[str] = set()
    hops: set[tuple[Function, Function]] = set()

    def profile(frame: FrameType, event: str, _: Any) -> None:
        file = Path(frame.f_code.co_filename)
        if event not in ("call", "return") or not file.is_relative_to(PACKAGE):
            return
        if event == "return":
            if stack:
                stack.pop()
            return
        called = Function(str(file.relative_to(PACKAGE)), frame.f_code.co_qualname)
        modules.add(called.module)
        if stack and stack[-1].module != called.module:
            hops.add((stack[-1], called))
        stack.append(called)

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        ser_edge_command([path])
        sys.setprofile(profile)
        try:
            ser_edge_command([path])
        finally:
            sys.setprofile(None)
    return modules, hops


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", metavar="FILE", help="a sound file")
    parser.add_argument("--max", type=int, metavar="N", help="exit with 1 if there are more hops than N")
    options = parser.parse_args()
    modules, hops = trace(options.file)
    for caller, called in sorted(hops):
        print(f"{caller} -> {called}")
    print(f"{len(modules)} modules, {len(hops)} hops")
    return int(options.max is not None and len(hops) > options.max)


if __name__ == "__main__":
    sys.exit(main())
