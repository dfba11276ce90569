"""Settings of a training: changed by name, refused in one line, and told apart by a fingerprint."""

from dataclasses import replace

import pytest

from ser_edge.errors import SerEdgeError
from ser_edge.features.frontend import FeatureConfig
from ser_train.networks.config import Augmented, EarlyStopped, changed, fingerprint


def test_settings_are_changed_by_name_to_what_they_are() -> None:
    recipe = changed(Augmented(), ["epochs=2", "mixup=0.2", "channels=4,4,4", "noise_db=-5,30"])
    assert recipe == replace(Augmented(), epochs=2, mixup=0.2, channels=(4, 4, 4), noise_db=(-5.0, 30.0))
    assert [type(part) for part in (recipe.epochs, recipe.mixup, recipe.channels[0], recipe.noise_db[0])] == [
        int,
        float,
        int,
        float,
    ]
    assert recipe.sizes == {"channels": (4, 4, 4), "dense": 128, "units": 80, "dropout": 0.25}


def test_no_change_changes_nothing_and_the_last_of_two_counts() -> None:
    for recipe in (EarlyStopped(), Augmented()):
        assert changed(recipe, []) == recipe
        assert changed(recipe, ["epochs=3", "epochs=4"]).epochs == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("foo=1", "foo is none of this network's settings: learning_rate, batch_size, epochs, patience"),
        ("mixup=0.2", "mixup is none of this network's settings: learning_rate, batch_size, epochs, patience"),
        ("=3", " is none of this network's settings: learning_rate, batch_size, epochs, patience"),
        ("epochs", "epochs is something like 30"),
        ("epochs=", "epochs is something like 30"),
        ("epochs=many", "epochs is something like 30"),
        ("epochs=1.5", "epochs is something like 30"),
        ("epochs=1e3", "epochs is something like 30"),
        ("learning_rate=0,1", "learning_rate is something like 0.0005"),
        ("epochs=0", "batch_size, epochs and patience must be 1 or more"),
        ("batch_size=-1", "batch_size, epochs and patience must be 1 or more"),
        ("learning_rate=0", "learning_rate must be above 0"),
        ("learning_rate=nan", "learning_rate must be above 0"),
        ("learning_rate=inf", "learning_rate must be above 0"),
    ],
)
def test_a_wrong_change_is_refused_in_one_line(change: str, said: str) -> None:
    with pytest.raises(SerEdgeError) as caught:
        changed(EarlyStopped(), [change])
    assert str(caught.value) == f"--set {change}: {said}"
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("channels=4,x", "channels is something like (24, 48, 96)"),
        ("channels=", "channels is something like (24, 48, 96)"),
        ("channels=4,0", "channels must be 1 or more"),
        ("noise_db=5", "noise_db must be two values, the lower one first"),
        ("noise_db=5,1", "noise_db must be two values, the lower one first"),
        ("noise_db=1,2,3", "noise_db must be two values, the lower one first"),
        ("noise_db=1,inf", "noise_db must be two values, the lower one first"),
        ("noise=1.5", "must be 0 to 1"),
        ("crop=-0.1", "must be 0 to 1"),
        ("crop=nan", "must be 0 to 1"),
        ("dropout=1", "average and dropout must be 0 or more, and below 1"),
        ("mixup=-1", "must be 0 or more"),
        ("others=inf", "must be 0 or more"),
        ("frames=0", "must be 1 or more"),
        ("clip=0", "learning_rate and clip must be above 0"),
    ],
)
def test_a_wrong_change_of_the_augmented_recipe_is_refused_in_one_line(change: str, said: str) -> None:
    with pytest.raises(SerEdgeError) as caught:
        changed(Augmented(), ["epochs=2", change])
    assert str(caught.value).startswith("--set ")
    assert change in str(caught.value)
    assert str(caught.value).endswith(said)
    assert "\n" not in str(caught.value)


def test_every_setting_and_every_part_of_the_front_end_is_in_the_fingerprint() -> None:
    config, recipe = FeatureConfig(), Augmented()
    known = {
        fingerprint(config, recipe),
        fingerprint(replace(config, trim_margin=11), recipe),
        fingerprint(config, replace(recipe, noise_db=(3.0, 34.0))),
        fingerprint(config, replace(recipe, units=81)),
        fingerprint(config, EarlyStopped()),
        fingerprint(config, EarlyStopped(patience=6)),
    }
    assert len(known) == 6
    assert fingerprint(FeatureConfig(), Augmented()) in known


def test_the_fingerprint_is_the_same_everywhere() -> None:
    """Of a run that was made on another day, by another Python."""
    assert len(fingerprint(FeatureConfig(), EarlyStopped())) == 16
    assert fingerprint(FeatureConfig(), EarlyStopped()) == fingerprint(FeatureConfig(), EarlyStopped())
