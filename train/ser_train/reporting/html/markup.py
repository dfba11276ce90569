"""HTML from plain text: it is escaped here and nowhere else, so that no name in a file becomes markup."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

__all__ = ["Cell", "Share", "bar", "said", "span", "table", "text"]


@dataclass(frozen=True)
class Share:
    """A cell with a bar behind its text."""

    percent: float
    text: str


Cell = str | Share


def bar(percent: float) -> Share:
    """A figure and its bar."""
    return Share(percent, f"{percent:.1f}")


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]], mark: str = "") -> str:
    """The first cell of a row is its name; the row that is named `mark` stands out.

    >>> print(table(["a", "b"], [["<x>", bar(50)]]), end="")
    <div class="wide" tabindex="0"><table>
    <thead><tr><th scope="col">a</th><th scope="col">b</th></tr></thead>
    <tbody>
    <tr><th scope="row">&lt;x&gt;</th><td class="share" style="--share:50.0">50.0</td></tr>
    </tbody>
    </table></div>
    """
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = ['<div class="wide" tabindex="0"><table>', f"<thead><tr>{columns}</tr></thead>", "<tbody>"]
    for name, *cells in rows:
        begin = '<tr class="mark">' if mark and name == mark else "<tr>"
        lines.append(f'{begin}<th scope="row">{escape(str(name))}</th>{"".join(map(_td, cells))}</tr>')
    return "\n".join([*lines, "</tbody>", "</table></div>", ""])


def text(words: str) -> str:
    """A paragraph."""
    return f"<p>{escape(words)}</p>\n"


def span(values: Sequence[float]) -> str:
    """From the lowest to the highest.

    >>> span([1.5, 1.2]), span([0.7, 0.7])
    ('1.20 to 1.50', '0.70')
    """
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def said(value: Any) -> str:
    """Settings as a person writes them, without those that are None.

    >>> said({"n_mels": 64, "n_mfcc": None, "channels": (24, 48)})
    'n_mels 64, channels 24 48'
    """
    if isinstance(value, dict):
        parts = {name: part if isinstance(part, list | tuple) else [part] for name, part in value.items()}
        value = [" ".join(map(str, [name, *part])) for name, part in parts.items() if part != [None]]
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _td(value: Cell) -> str:
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    return f'<td class="share" style="--share:{value.percent:.1f}">{escape(value.text)}</td>'
