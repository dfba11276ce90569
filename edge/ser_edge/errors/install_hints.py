"""The commands that install what is missing, for messages: those of this interpreter, with names that pip finds.

A bare `pip` may be another Python's, and `ser-edge[onnx]` needs ser-edge in a package index; so a message names this
interpreter and the missing libraries themselves.
"""

import os
import sys
from collections.abc import Iterator

__all__ = ["install_extra", "pip_install", "reinstall"]

_PLAIN = frozenset("-_./\\:=+@~")  # beside letters and digits: what no shell reads otherwise


def pip_install(*arguments: str) -> str:
    """A line to type.

    Args:
        arguments: of `pip install`: requirements, paths or options.
    """
    return " ".join(map(_quoted, (sys.executable or "python3", "-m", "pip", "install", *arguments)))


def install_extra(extra: str) -> str:
    """A line that installs those of an extra's libraries that aren't there.

    Args:
        extra: a name in `[project.optional-dependencies]`.
    """
    wanted = dict.fromkeys(_requirements(extra))
    return pip_install(*([text for text in wanted if not _installed(text)] or wanted or [f"ser-edge[{extra}]"]))


def reinstall() -> str:
    """A line that installs ser-edge once more from where it came from."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from pathlib import Path
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        origin = json.loads(distribution("ser-edge").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        origin = {}
    source = url2pathname(urlsplit(origin.get("url", "")).path)
    if origin.get("dir_info", {}).get("editable"):  # its files are the checkout's own
        bundled = "edge/ser_edge/models/bundled edge/ser_edge/recognition/voice_activity"
        return f"git -C {_quoted(source)} checkout -- {bundled}"
    there = source if source and Path(source).exists() else "ser-edge"
    return pip_install("--force-reinstall", "--no-deps", there)


def _requirements(extra: str) -> Iterator[str]:
    """The libraries of an extra, as they stand in the installed package's metadata."""
    import re
    from importlib.metadata import PackageNotFoundError, requires

    try:
        lines = requires("ser-edge") or []
    except PackageNotFoundError:  # run from a checkout that isn't installed
        return
    for line in lines:
        text, _, marker = line.partition(";")
        if re.search(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]", marker):
            yield text.strip()


def _installed(requirement: str) -> bool:
    import re
    from importlib.metadata import PackageNotFoundError, version

    try:
        version(re.split(r"[^\w.-]", requirement, maxsplit=1)[0])
    except PackageNotFoundError:
        return False
    return True


def _quoted(word: str) -> str:
    if all(letter.isalnum() or letter in _PLAIN for letter in word):
        return word
    quote = '"' if os.name == "nt" or "'" in word else "'"
    return f"{quote}{word}{quote}"
