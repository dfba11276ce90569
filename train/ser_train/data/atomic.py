"""Files that appear whole or not at all, whatever kills the program, and whoever else writes them at the same time."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_write", "write_text"]


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Gives an unfinished file beside `path`, with its suffix; it takes the name when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".unfinished-", suffix=f"-{path.name}")
    os.close(handle)
    unfinished = Path(name)
    try:
        yield unfinished
        unfinished.chmod(0o644)  # mkstemp's files are nobody else's to read
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """A whole text file, UTF-8."""
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, "utf-8")
