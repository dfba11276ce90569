"""Commands for messages that install missing libraries into this interpreter.

A bare `pip` may be another Python's, and `ser-edge[onnx]` needs ser-edge in a package index; so a message names this
interpreter and the missing libraries themselves.
"""

import os
import sys
from collections.abc import Iterator

_PLAIN = frozenset("-_./\\:=+@~")  # characters that no shell interprets, beside letters and digits


def pip_install(*arguments: str) -> str:
    """The pip command of this interpreter.

    Args:
        arguments: of `pip install`: requirements, paths or options.
    """
    return " ".join(map(_quoted, (sys.executable or "python3", "-m", "pip", "install", *arguments)))


def install_extra(extra: str) -> str:
    """The command that installs the missing libraries of an extra; all of them where none is missing.

    Args:
        extra: a name in `[project.optional-dependencies]`.
    """
    required = dict.fromkeys(_requirements(extra))
    missing = [text for text in required if not _is_installed(text)]
    return pip_install(*(missing or required or [f"ser-edge[{extra}]"]))


def reinstall() -> str:
    """The command that reinstalls ser-edge from its origin."""
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
    if origin.get("dir_info", {}).get("editable"):  # it runs from a checkout
        bundled = "edge/ser_edge/models/bundled edge/ser_edge/recognition/voice_activity"
        return f"git -C {_quoted(source)} checkout -- {bundled}"
    return pip_install("--force-reinstall", "--no-deps", source if source and Path(source).exists() else "ser-edge")


def _requirements(extra: str) -> Iterator[str]:
    """The libraries of an extra, by the metadata of the installed package."""
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


def _is_installed(requirement: str) -> bool:
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
