"""Puts what commands print now into README.md and docs/: `make docs`. Takes minutes, for a page trains a network."""

import tempfile
from pathlib import Path

from tests.docs.pages import PAGES, ROOT, directory, rewritten

if __name__ == "__main__":
    for page in PAGES:
        with tempfile.TemporaryDirectory() as folder, directory(Path(folder)):
            text = rewritten(page)
        if text != page.read_text("utf-8"):
            page.write_text(text, "utf-8")
            print(f"rewritten: {page.relative_to(ROOT)}", flush=True)
