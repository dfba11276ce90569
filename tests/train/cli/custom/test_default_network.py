"""Which network own recordings are trained by."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ser_train.cli.app import main
from ser_train.runs.settings import Settings


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The trainings that a command would do."""
    done: list[Settings] = []

    def train_locally(trainings: Sequence[Settings], *_: object) -> list[object]:
        done.extend(trainings)
        return []

    monkeypatch.setattr("ser_train.cli.jobs.train_locally", train_locally)
    return done


@pytest.mark.parametrize(
    ("options", "network"),
    [
        ([], "whisper-gru"),
        (["--arch", "gru"], "gru"),
        (["--init", "crnn"], "crnn"),
    ],
)
def test_own_recordings_are_trained_by_the_accurate_network_unless_another_is_named(
    recordings: Path, trained: list[Settings], options: list[str], network: str
) -> None:
    assert main(["--data", str(recordings), "--fold", "2", *options]) == 0
    (settings,) = trained
    assert (settings.network, settings.protocol, settings.fold) == (network, "speaker", 2)


def test_a_network_that_cannot_start_from_another_one_is_refused_before_any_is_trained(
    recordings: Path, trained: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(recordings), "--arch", "crnn", "whisper-gru", "--init", "crnn"]) == 1
    *_, line = capsys.readouterr().err.splitlines()
    assert (
        line == "ser-train: whisper-gru-speaker-fold0-seed0-tuned: --init crnn has another front-end than whisper-gru"
    )
    assert trained == []
