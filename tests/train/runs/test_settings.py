"""Names of runs are those of 0.1, so that its run directories are found again."""

from dataclasses import asdict, replace

from ser_train.runs.settings import Settings

PLAIN = Settings("crnn", "speaker", fold=2, seed=1)


def test_the_name_distinguishes_runs_of_a_network() -> None:
    assert PLAIN.name == "crnn-speaker-fold2-seed1"
    assert replace(PLAIN, protocol="all", fold=0).name == "crnn-all-seed1"
    varied = replace(PLAIN, changes=("mixup=0.2",), teachers=("crnn-speaker-fold*-seed0",), init="crnn")
    assert varied.name == "crnn-speaker-fold2-seed1-mixup=0.2-taught-tuned"
    assert varied.label == "crnn, mixup=0.2, distilled, tuned"


def test_settings_of_an_older_run_have_defaults_for_what_it_lacks() -> None:
    assert Settings.of({"network": "crnn", "protocol": "speaker", "fold": 2, "seed": 1}) == PLAIN
    varied = replace(PLAIN, changes=("mixup=0.2",))
    assert Settings.of(asdict(varied) | {"changes": ["mixup=0.2"]}) == varied
