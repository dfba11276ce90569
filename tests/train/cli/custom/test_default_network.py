"""Which network own recordings are trained by, and how its recipe is fitted to their number."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ser_train.cli.app import main
from ser_train.data.utterance import Utterance
from ser_train.networks.config import EncoderConfig
from ser_train.runs.settings import Settings
from ser_train.training.plans import prepare

ENCODER = Settings("whisper-gru", "all")


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
        (["--init", "crnn", "--arch", "whisper-gru"], "whisper-gru"),
    ],
)
def test_own_recordings_are_trained_by_the_accurate_network_unless_another_is_named(
    recordings: Path, trained: list[Settings], options: list[str], network: str
) -> None:
    assert main(["--data", str(recordings), "--fold", "2", *options]) == 0
    (settings,) = trained
    assert (settings.network, settings.protocol, settings.fold) == (network, "speaker", 2)


@pytest.mark.parametrize(("count", "copies"), [(8, 8), (600, 4), (10_000, 2)])
def test_many_own_recordings_have_fewer_copies_each(
    utterances: Sequence[Utterance], tmp_path: Path, count: int, copies: int
) -> None:
    many = [replace(utterances[i % len(utterances)], digest=f"{i}") for i in range(count)]
    assert copies_of(ENCODER, many, tmp_path) == copies
    assert copies_of(replace(ENCODER, changes=("copies=6",)), many, tmp_path) == 6


def test_a_known_corpus_has_as_many_as_the_recipe_says(corpus: Path, tmp_path: Path) -> None:
    spoken = [Utterance(corpus / "x.wav", "ravdess", "sad", f"ravdess/{i % 24 + 1:02}", "", "", "", f"{i}")
              for i in range(1440)]  # fmt: skip
    assert copies_of(ENCODER, spoken, tmp_path) == EncoderConfig().copies


def copies_of(settings: Settings, utterances: Sequence[Utterance], out: Path) -> int:
    recipe = prepare(settings, utterances, out).recipe
    assert isinstance(recipe, EncoderConfig)
    return recipe.copies
