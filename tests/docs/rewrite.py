"""Puts what commands print now into README.md and docs/: `make docs`. Takes minutes, for a page trains a network.

The notebook gets its pictures anew as well, unless pages are named.

python -m tests.docs.rewrite [PAGE ...]
"""

import sys
import tempfile
from pathlib import Path

from tests.docs import codes, layers, notebooks
from tests.docs.pages import PAGES, ROOT, directory, rewritten

if __name__ == "__main__":
    for page in [Path(name).resolve() for name in sys.argv[1:]] or PAGES:
        with tempfile.TemporaryDirectory() as folder, directory(Path(folder)):
            text = rewritten(page)
        if page == layers.PAGE:
            text = layers.with_layers(text)
        if page == codes.PAGE:
            text = codes.with_codes(text)
        if text != page.read_text("utf-8"):
            page.write_text(text, "utf-8")
            print(f"rewritten: {page.relative_to(ROOT)}", flush=True)
    if not sys.argv[1:]:
        notebooks.write(notebooks.run_notebook(notebooks.stored()))
