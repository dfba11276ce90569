"""The drawing of the layers in docs/architecture.md, from the import contracts in pyproject.toml."""

import ast
import re
import tomllib
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from tests.docs.pages import ROOT

__all__ = ["PAGE", "contracts", "drawn", "with_layers"]

PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = {"ser_edge": "edge/ser_edge", "ser_train": "train/ser_train", "ser_export": "export/ser_export"}
_SECTION = re.compile(r"(<!-- layers: made by make docs -->\n).*?(<!-- end of layers -->)", re.DOTALL)


def contracts() -> dict[str, list[list[str]]]:
    """Of each package that has a contract for its inside: its layers, the highest first; who shares one is a list."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    return {
        container: [re.split(r" *[|:] *", layer) for layer in contract["layers"]]
        for contract in table
        if contract["type"] == "layers"
        for container in contract["containers"]
    }


def drawn() -> str:
    """Markdown: the three packages side by side, their sub-packages, and the layers inside these."""
    found = {container: _public(layers) for container, layers in contracts().items()}
    boxes = [_box(package, found[package]) for package in PACKAGES]
    widths = [max(map(len, box)) for box in boxes]
    rows = ["   ".join(map(str.ljust, cells, widths)).rstrip() for cells in zip_longest(*boxes, fillvalue="")]
    lines = ["```text", *rows, "```", ""]
    for package, folder in PACKAGES.items():
        lines += [f"| `{package}` | |", "|---|---|"]
        described = (row for layer in found[package] for row in _described(ROOT / folder, layer))
        lines += [f"| `{name}` | {text} |" for name, text in described]
        lines.append("")
    inside = sorted(set(found) - set(PACKAGES))
    lines += ["| inside | layers, the highest first |", "|---|---|"] if inside else []
    for container in inside:
        path = " → ".join(", ".join(f"`{name}`" for name in layer) for layer in found[container])
        lines.append(f"| `{container}` | {path} |")
    return "\n".join(lines) + "\n"


def with_layers(text: str) -> str:
    """The page's text with the layers as the contracts have them now."""
    return _SECTION.sub(lambda match: f"{match[1]}\n{drawn()}\n{match[2]}", text)


def _public(layers: list[list[str]]) -> list[list[str]]:
    """Without `__main__`."""
    return [names for layer in layers if (names := [name.strip("()") for name in layer if "__" not in name])]


def _box(package: str, layers: list[list[str]]) -> list[str]:
    texts = [" │ ".join(layer) for layer in layers]
    width = max(map(len, [*texts, package]))
    lines = [f"{package:{width + 4}}"]
    for place, text in enumerate(texts):
        lines += [("├" if place else "┌") + "─" * (width + 2) + ("┤" if place else "┐"), f"│ {text:{width}} │"]
    return [*lines, "└" + "─" * (width + 2) + "┘"]


def _described(package: Path, layer: list[str]) -> Iterator[tuple[str, str]]:
    """Each module or sub-package of a layer, and those inside it, with the first line of its docstring."""
    for name in layer:
        inits = sorted((package / name).rglob("__init__.py"), key=lambda path: path.parent)
        for path in inits or (package / f"{name}.py",):
            place = path.parent if inits else path.with_suffix("")
            text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) if path.exists() else ""
            yield place.relative_to(package).as_posix(), (text or "").partition("\n")[0]
