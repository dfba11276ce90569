"""CITATION.cff names the newest release of the changelog, with its date."""

import re

from tests.docs.pages import ROOT


def test_the_citation_is_of_the_newest_release() -> None:
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    cited = re.findall(r'^(?:version|date-released): "?([\d.-]+)"?$', citation, re.MULTILINE)
    released = re.findall(r"^## \[([\d.]+)\] - (\S+)$", changelog, re.MULTILINE)
    assert tuple(cited) == released[0]
