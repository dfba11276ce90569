"""docs/notebook.ipynb runs from a fresh clone, and shows what is stored in it."""

import pytest

from tests.docs.notebooks import NOTEBOOK, run_notebook, shown, stored
from tests.docs.pages import matches

MOST = 300_000  # bytes, with its pictures


@pytest.mark.slow
def test_it_does_what_it_says_and_shows_what_is_stored() -> None:
    expected = [shown(cell) for cell in stored().cells]
    found = [shown(cell) for cell in run_notebook(stored()).cells]
    for (lines, kinds), (now, kinds_now) in zip(expected, found, strict=True):
        assert kinds_now == kinds
        assert matches(lines, now), "\n".join(["stored:", *lines, "shown:", *now, "make docs rewrites it"])
    assert sum("image/png" in kinds for _, kinds in found) == 2


def test_it_is_small_and_names_no_folder_of_a_machine() -> None:
    content = NOTEBOOK.read_text("utf-8")
    assert len(content) < MOST
    assert '"/' not in content.replace("\\", "")
    assert str(NOTEBOOK.parents[1]) not in content
