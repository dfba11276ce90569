"""Trainings of custom recordings that start from the weights of another network."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ser_edge.errors import SerEdgeError
from ser_edge.models.loader import open_model
from ser_train.data.corpus_loader import Utterance, read_corpus
from ser_train.networks.zoo import NETWORKS
from ser_train.runs.provenance import seen_speakers
from ser_train.runs.run_directory import RunDirectory
from ser_train.runs.settings import Settings
from ser_train.training.loop import TrainingError, fit
from ser_train.training.transfer.warm_start import find_warm_start
from tests import messages
from tests.train.cli.custom.custom_runs import LABELS, OWN, TINY, epochs_trained

pytestmark = pytest.mark.slow

TUNED = Settings("crnn", "speaker", epochs=1, init="crnn")
BUNDLED_DATA = "RAVDESS speech, CC BY-NC-SA 4.0; RAVDESS song, CC BY-NC-SA 4.0; nEMO, CC BY-NC-SA 4.0"


@pytest.fixture(scope="module")
def tuned(utterances: Sequence[Utterance], tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """An epoch, from the bundled network."""
    return fit(TUNED, utterances, tmp_path_factory.mktemp("tuned"), jobs=1, bar=False)


def test_a_warm_start_from_the_bundled_network_records_its_training_data(tuned: RunDirectory) -> None:
    metadata, bundled = tuned.metadata, open_model("crnn.onnx").metadata
    assert tuned.path.name == "crnn-speaker-fold0-seed0-tuned"
    assert tuned.settings.init == "crnn"
    assert metadata.labels == LABELS
    assert metadata.normalization == bundled.normalization
    assert metadata.training == {
        "run": TUNED.name,
        "data": f"own recordings, on their owner's terms; {BUNDLED_DATA}",
        "not_heard": ["anna"],
        "init": "crnn-all-seed0-taught",
    }
    stored = keras.models.load_model(tuned.path / "model.keras").get_weights()
    first = NETWORKS["crnn"].build((None, 64), 3)
    find_warm_start("crnn", 0).initialize(first, LABELS, [np.ones((2, 60, 64), np.float32)])
    body = zip(stored[:-2], first.get_weights()[:-2], strict=True)
    moved = [np.abs(a - b).max() for a, b in body if a.ndim > 1]
    assert 0 < max(moved) < 0.05  # a few small steps away


@pytest.fixture(scope="module")
def begun(run: RunDirectory, utterances: Sequence[Utterance]) -> RunDirectory:
    """Two epochs, from a finished run, named with a * for its fold."""
    settings = replace(OWN, init=str(run.path).replace("fold0", "fold*"))
    return fit(settings, utterances, run.path.parent, jobs=1, bar=False)


def test_a_warm_start_from_a_finished_run(
    begun: RunDirectory, run: RunDirectory, utterances: Sequence[Utterance], capsys: pytest.CaptureFixture[str]
) -> None:
    assert begun.path.name == f"{OWN.name}-tuned"
    assert begun.metadata.training == run.metadata.training | {"run": begun.path.name, "init": OWN.name}
    assert begun.read("history.json")[0] != run.read("history.json")[0]
    folder = run.path.parent
    for spelled in (begun.settings.init, f"{run.path}/", f"{folder}/../{folder.name}/{run.path.name}"):
        fit(replace(OWN, init=spelled), utterances, run.path.parent, jobs=1)
    assert epochs_trained(capsys) == 0


def test_speakers_that_trained_the_initial_network_are_speakers_that_trained_this_one(
    begun: RunDirectory, tuned: RunDirectory, run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    others = [replace(u, speaker=f"own/new-{u.actor}") for u in utterances]
    everyone = replace(OWN, protocol="all", init=str(run.path), epochs=1)
    assert tuned.own_speakers == begun.own_speakers == run.own_speakers == {"ben", "carla", "dan", "eva"}
    extended = fit(everyone, others, tmp_path, jobs=1, bar=False)
    assert extended.own_speakers == run.own_speakers | {str(u.actor) for u in others}
    run_of_before = RunDirectory(shutil.copytree(run.path, tmp_path / "before"))
    run_of_before.write("run.json", {k: v for k, v in run.read("run.json").items() if k != "own_speakers"})
    assert run_of_before.own_speakers is None
    assert fit(replace(everyone, init=str(run_of_before.path)), others, tmp_path / "2", jobs=1).own_speakers is None


def test_the_frequencies_of_labels_are_not_taken_out_twice(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    rare = [u for u in utterances if u.emotion != "bored" or u.name.endswith("1.wav")]
    still = replace(OWN, changes=(*TINY, "epochs=1", "learning_rate=1e-9"), epochs=None, init=str(run.path))
    before, after = (
        keras.models.load_model(r.path / "model.keras").get_weights()[-1]
        for r in (run, fit(still, rare, tmp_path, jobs=1, bar=False))
    )
    np.testing.assert_allclose(after, before, atol=1e-5)  # balanced it began, and balanced it is


def test_other_weights_under_the_same_name_are_another_training(
    begun: RunDirectory, run: RunDirectory, tmp_path: Path
) -> None:
    before = find_warm_start(str(run.path), 0).digest
    assert begun.settings.corpus == f"{run.settings.corpus} {before}"
    again = RunDirectory(shutil.copytree(run.path, tmp_path / "again"))
    (again.path / "model.keras").write_bytes(b"trained anew")
    assert find_warm_start(str(again.path), 0).digest != before


def test_a_killed_training_continues_and_does_not_start_again(
    begun: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, write = replace(OWN, init=begun.settings.init), RunDirectory.write

    def killed(self: RunDirectory, name: str, data: object) -> None:
        write(self, name, data)
        if name == "checkpoint/progress.json":
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDirectory, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(settings, utterances, tmp_path, jobs=1, bar=False)
    capsys.readouterr()
    again = fit(settings, utterances, tmp_path, jobs=1, bar=False)
    assert epochs_trained(capsys) == 1
    one, other = (keras.models.load_model(r.path / "model.keras").get_weights() for r in (begun, again))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_that_would_overwrite_its_initial_network_is_refused(
    run: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    initial = tmp_path / TUNED.name
    shutil.copytree(run.path, initial)
    with messages.raises(TrainingError, "warm-start-unusable"):
        fit(replace(TUNED, init=str(initial)), utterances, tmp_path, jobs=1)
    assert RunDirectory(initial).whole


def test_training_speakers_of_the_initial_network_are_not_unseen(
    run: RunDirectory, utterances: Sequence[Utterance], corpus: Path, tmp_path: Path
) -> None:
    ravdess = [u for u in read_corpus(corpus, jobs=1) if u.actor <= 6]
    for protocol in ("speaker", "utterance"):
        with messages.raises(TrainingError, "speakers-seen"):
            fit(replace(TUNED, protocol=protocol), ravdess, tmp_path, jobs=1)
    another_fold = replace(OWN, fold=1, init=str(run.path))
    with messages.raises(TrainingError, "speakers-seen") as caught:
        fit(another_fold, utterances, tmp_path, jobs=1)
    assert "['ben']" in str(caught.value)


def test_a_file_of_a_known_corpus_under_another_label_is_still_that_speaker(
    utterances: Sequence[Utterance], corpus: Path, tmp_path: Path
) -> None:
    name = "03-01-05-01-01-01-02.wav"
    relabelled = [replace(u, path=corpus / "Actor_02" / name) if u.actor == "anna" else u for u in utterances]
    with messages.raises(TrainingError, "speakers-seen") as caught:
        fit(TUNED, relabelled, tmp_path, jobs=1)
    assert "['anna']" in str(caught.value)


def test_a_name_that_only_looks_like_a_known_corpuss_is_no_known_speaker(utterances: Sequence[Utterance]) -> None:
    bundled = open_model("crnn.onnx").metadata
    for name, seen in (("AB1_angry_1.wav", set()), ("EB0_anger_1.wav", {"anna"})):  # nEMO has no AB1
        mine = [replace(u, path=u.path.with_name(name)) for u in utterances if u.actor == "anna"]
        assert seen_speakers(bundled, mine) == seen


def test_a_network_with_another_front_end_or_size_is_no_warm_start(
    utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    with messages.raises(TrainingError, "warm-start-unusable"):
        fit(replace(TUNED, network="gru"), utterances, tmp_path, jobs=1)
    with messages.raises(SerEdgeError, "warm-start-unusable"):
        fit(replace(TUNED, changes=TINY), utterances, tmp_path, jobs=1)
