"""docs/notebook.ipynb as a program: it is run from its folder, as Jupyter does, and stored with what it shows."""

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from tests.docs.pages import ROOT

__all__ = ["NOTEBOOK", "run_notebook", "shown", "stored", "write"]

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
_TIMEOUT = 300  # seconds, for a cell on a busy machine


def stored() -> Any:
    """The notebook as it is in the repository."""
    return nbformat.read(NOTEBOOK, as_version=4)


def run_notebook(notebook: Any) -> Any:
    """The notebook with the outputs of its cells; raises CellExecutionError for what a cell raises."""
    place = {"metadata": {"path": str(NOTEBOOK.parent)}}
    client = NotebookClient(notebook, timeout=_TIMEOUT, kernel_name="python3", resources=place, record_timing=False)
    return client.execute()


def shown(cell: Any) -> tuple[list[str], set[str]]:
    """The lines of text that a code cell shows, and the kinds of its outputs."""
    lines: list[str] = []
    kinds: set[str] = set()
    for output in cell.get("outputs", []):
        data = output.get("data", {"text/plain": output.get("text", "")})
        kinds |= set(data)
        if "image/png" not in data:
            lines += data["text/plain"].splitlines()
    return lines, kinds


def write(notebook: Any, path: Path = NOTEBOOK) -> None:
    """Stores it with its outputs, and without what differs from machine to machine."""
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell["metadata"] = {}
    nbformat.write(notebook, path)
