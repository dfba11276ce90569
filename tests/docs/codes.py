"""The table of error codes in docs/errors.md: codes and meanings from `CODES`, remedies as they are on the page."""

import re

from ser_edge.errors.codes import CODES
from tests.docs.pages import ROOT

__all__ = ["PAGE", "with_codes"]

PAGE = ROOT / "docs" / "errors.md"
_SECTION = re.compile(r"(<!-- codes: made by make docs, but for what to do -->\n).*?(<!-- end of codes -->)", re.DOTALL)
_ROW = re.compile(r"^\| `([a-z-]+)` \| .*? \| (.*?) ?\|$", re.MULTILINE)


def with_codes(text: str) -> str:
    """The page's text with a row for each code that there is; what to do about it stays as it is on the page."""
    remedies = {code: remedy for code, remedy in _ROW.findall(text) if remedy}
    rows = [f"| `{code}` | {meaning} | {remedies.get(code, '')} |" for code, meaning in sorted(CODES.items())]
    table = "\n".join(["| code | means | what to do |", "|---|---|---|", *rows])
    return _SECTION.sub(lambda match: f"{match[1]}\n{table}\n\n{match[2]}", text)
