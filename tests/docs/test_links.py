"""The pages' links, and the paths they name, lead to files that are there."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "export/MODEL_FILE.md", ROOT / "train/EXPERIMENTS.md"]
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)")
PATH = re.compile(r"`((?:edge|train|export|tests|docs)/[\w./-]*)`")


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {"#" + re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = [(page.parent / path if path else page, anchor) for path, anchor in LINK.findall(text)]
    targets += [(ROOT / path, "") for path in PATH.findall(text)]
    assert [path for path, _ in targets if not path.exists()] == []
    assert [(path, anchor) for path, anchor in targets if anchor and anchor not in anchors(path)] == []
