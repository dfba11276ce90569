"""The corpus of the command's tests."""

from pathlib import Path

import pytest

from tests.conftest import make_corpus


@pytest.fixture(scope="module")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("small"), range(1, 7))
