"""Recipes: changed by name, refused in one line, and identified by a fingerprint."""

from dataclasses import replace

import pytest

from ser_edge.errors import SerEdgeError
from ser_edge.features.config import FeatureConfig
from ser_train.networks.config import (
    AugmentedConfig,
    BaselineConfig,
    EncoderConfig,
    NotebookOnEncoderConfig,
    Recipe,
    fingerprint,
    with_changes,
)
from ser_train.networks.zoo import NETWORKS
from tests import messages


def test_changes_take_the_type_of_the_setting() -> None:
    recipe = with_changes(AugmentedConfig(), ["epochs=2", "mixup=0.2", "channels=4,4,4", "noise_db=-5,30"])
    assert recipe == replace(AugmentedConfig(), epochs=2, mixup=0.2, channels=(4, 4, 4), noise_db=(-5.0, 30.0))
    assert [type(part) for part in (recipe.epochs, recipe.mixup, recipe.channels[0], recipe.noise_db[0])] == [
        int,
        float,
        int,
        float,
    ]
    assert recipe.sizes == {"channels": (4, 4, 4), "dense": 128, "units": 80, "dropout": 0.25}


def test_no_change_changes_nothing_and_the_last_of_two_counts() -> None:
    for recipe in (BaselineConfig(), AugmentedConfig()):
        assert with_changes(recipe, []) == recipe
        assert with_changes(recipe, ["epochs=3", "epochs=4"]).epochs == 4


def test_names_of_version_0_1_are_accepted() -> None:
    new = with_changes(AugmentedConfig(), ["distillation_weight=0.5", "extra_corpora_ratio=2"])
    assert with_changes(AugmentedConfig(), ["taught=0.5", "others=2"]) == new


@pytest.mark.parametrize(
    ("recipe", "change"),
    [
        *((BaselineConfig(), change) for change in ("foo=1", "mixup=0.2", "=3", "epochs", "epochs=", "epochs=many")),
        *((BaselineConfig(), change) for change in ("epochs=1.5", "epochs=1e3", "learning_rate=0,1", "epochs=0")),
        *((BaselineConfig(), f"learning_rate={value}") for value in ("0", "nan", "inf")),
        *((AugmentedConfig(), f"channels={value}") for value in ("4,x", "", "4,0")),
        *((AugmentedConfig(), f"noise_db={value}") for value in ("5", "5,1", "1,2,3", "1,inf")),
        *((AugmentedConfig(), change) for change in ("noise=1.5", "crop=-0.1", "crop=nan", "dropout=1", "mixup=-1")),
        *((AugmentedConfig(), change) for change in ("extra_corpora_ratio=inf", "frames=0", "clip=0")),
        *((EncoderConfig(), change) for change in ("channels=8,16", "distillation_weight=0.1")),  # would do nothing
        *((NotebookOnEncoderConfig(), change) for change in ("units=8", "dense=4", "distillation_weight=0.1")),
    ],
)
def test_a_wrong_change_is_refused_in_one_line_that_names_it(recipe: Recipe, change: str) -> None:
    with messages.raises(SerEdgeError, "training-setting") as caught:
        with_changes(recipe, [change])
    assert change in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


def test_every_setting_and_every_part_of_the_front_end_is_in_the_fingerprint() -> None:
    config, recipe = FeatureConfig(), AugmentedConfig()
    known = {
        fingerprint(config, recipe),
        fingerprint(replace(config, trim_margin=11), recipe),
        fingerprint(config, replace(recipe, noise_db=(3.0, 34.0))),
        fingerprint(config, replace(recipe, units=81)),
        fingerprint(config, BaselineConfig()),
        fingerprint(config, BaselineConfig(patience=6)),
    }
    assert len(known) == 6
    assert fingerprint(FeatureConfig(), AugmentedConfig()) in known


@pytest.mark.parametrize(("network", "expected"), [("rnn", "d07602ce784cadb6"), ("crnn", "60989e579b6fdbf5")])
def test_fingerprints_are_those_of_version_0_1(network: str, expected: str) -> None:
    """Else its finished runs would be trained again."""
    assert fingerprint(NETWORKS[network].features, NETWORKS[network].recipe) == expected
