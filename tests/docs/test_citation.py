"""CITATION.cff names the newest release of the changelog, with its date."""

import re

from tests.docs.pages import ROOT


def test_the_citation_is_of_the_newest_release() -> None:
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    version = re.search(r"^version: (\S+)$", citation, re.MULTILINE)
    date = re.search(r'^date-released: "(\S+)"$', citation, re.MULTILINE)
    released = re.search(r"^## \[([\d.]+)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert version and date and released
    assert (version[1], date[1]) == released.groups()
