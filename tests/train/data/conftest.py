"""A cache of the test's own, and a zip."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SER_EDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def archive(corpus: Path, tmp_path: Path) -> Path:
    """A zip of one made actor."""
    path = shutil.make_archive(str(tmp_path / "speech"), "zip", corpus, "Actor_01")
    return Path(path)
