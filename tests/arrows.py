"""Keeps the three rooms apart: who may not import whom. Run by `make lint`; prints a line for each breach.

.venv/bin/python tests/arrows.py
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent

# folder: the packages that nothing in it may import
FORBIDDEN = {
    "edge": {"keras", "librosa", "scipy", "ser_export", "ser_train", "sklearn", "tensorflow"},
    "train": {"ser_export"},
    "export": {"ser_train"},
}


def breaches(root: Path) -> Iterator[str]:
    """A line for each import below `root` that `FORBIDDEN` forbids, wherever in a file it stands."""
    for folder, forbidden in FORBIDDEN.items():
        for path in sorted((root / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
                for package in sorted(_imported(node) & forbidden):
                    yield f"{path.relative_to(root)}:{node.lineno}: {path.parent.name} may not import {package}"


def _imported(node: ast.AST) -> set[str]:
    """The packages a statement imports; also `import_module("...")`, which is how a lazy import would hide."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if function in ("import_module", "__import__"):
            names = [str(node.args[0].value)]
    return {name.split(".")[0] for name in names}


if __name__ == "__main__":
    found = list(breaches(ROOT))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))
