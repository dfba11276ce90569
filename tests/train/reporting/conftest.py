"""Runs for the tests of reports."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import ser_train.evaluation.metrics
from ser_train.runs.settings import Settings
from tests.train.reporting.fake_runs import add_the_rest, make_run


@pytest.fixture(scope="module", autouse=True)
def _few_bootstrap_draws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ser_train.evaluation.metrics, "BOOTSTRAP_DRAWS", 20)
        yield


@pytest.fixture(scope="session")
def ten_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs of five folds and two seeds, with all that can be measured."""
    folder = tmp_path_factory.mktemp("ten-runs")
    for seed in (0, 7):
        for fold in range(5):
            settings = Settings("gru", "speaker", fold, seed)
            described = {"temperature": 2.0, "threshold": 0.5, "training": {"data": "RAVDESS speech, CC BY-NC-SA 4.0"}}
            add_the_rest(make_run(folder, settings, wrong=15 * (fold == seed), **described))
    return folder
