"""`whisper-gru`: a frozen encoder's output is computed once, classifiers are trained on it, and both become one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ser_train.data.utterance import Utterance
from ser_train.networks.whisper_weights.loader import load_encoder_weights
from ser_train.runs.settings import Settings
from ser_train.training import loop
from ser_train.training.loop import fit
from ser_train.training.plans import make_plan, prepare
from ser_train.training.transfer.encoded_utterances import EncodedUtterances
from ser_train.training.transfer.lineage import TrainingError
from tests import messages
from tests.train.training.trainings import epochs_trained, same

SMALL = ("epochs=2", "copies=1", "classifiers=1,2-mean", "dense=8", "units=4", "extra_corpora_ratio=0.5")
SETTINGS = Settings("whisper-gru", "speaker", changes=SMALL)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SER_EDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _encoded(settings: Settings, utterances: Sequence[Utterance], out: Path) -> EncodedUtterances:
    encoded = make_plan(prepare(settings, utterances, out), jobs=1).batches.batches.source
    assert isinstance(encoded, EncodedUtterances)
    return encoded


def test_the_whole_network_has_whispers_weights_and_answers_as_the_parts(
    everything: Sequence[Utterance], tmp_path: Path
) -> None:
    plan = make_plan(prepare(SETTINGS, everything, tmp_path), jobs=1)
    trained = plan.part.build()
    (features, _), *_ = plan.batches(0, 0)
    network = plan.part.whole(trained, (300, 80))
    np.testing.assert_array_equal(network.get_layer("conv2").bias, load_encoder_weights()["conv2/bias"])
    # An utterance that is used as it is, so that the parts' answer can be compared.
    batches = plan.batches.batches
    encoded = batches.source
    utterance = encoded.utterances[0]
    steps = np.array(encoded.versions[0][0], np.float32)
    steps = batches.normalization.apply(steps)
    parts = np.mean(trained(np.stack([steps, steps])[None]), axis=1)
    whole = network(plan.normalization.apply(plan.features([utterance])))
    np.testing.assert_allclose(whole, parts, atol=1e-3)  # the cache is in float16
    assert features.shape[1:4:2] == (2, 768)  # both blocks, of each classifier


def test_a_training_that_was_stopped_ends_with_the_same_weights(
    everything: Sequence[Utterance], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit(SETTINGS, everything, tmp_path / "whole", jobs=1, bar=False)
    assert epochs_trained(capsys) == [1, 2]
    once = iter([True])

    def stop_before_the_second(*args: object) -> dict[str, float]:
        if next(once, None) is None:
            raise KeyboardInterrupt
        return train_epoch(*args)

    train_epoch = loop.train_epoch
    monkeypatch.setattr(loop, "train_epoch", stop_before_the_second)
    with pytest.raises(KeyboardInterrupt):
        fit(SETTINGS, everything, tmp_path / "stopped", jobs=1, bar=False)
    monkeypatch.setattr(loop, "train_epoch", train_epoch)
    stopped = fit(SETTINGS, everything, tmp_path / "stopped", jobs=1, bar=False)
    assert epochs_trained(capsys) == [1, 2]
    assert same(whole, stopped)
    metadata = whole.metadata
    assert metadata.training["encoder"] == "Whisper tiny.en (OpenAI), MIT"
    assert metadata.features.n_mels == 80
    assert keras.models.load_model(whole.path / "model.keras").output_shape == (None, 8)


def test_what_is_cached_is_not_computed_again(everything: Sequence[Utterance], tmp_path: Path, cache: Path) -> None:
    first = _encoded(SETTINGS, everything, tmp_path)
    files = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")}
    more = replace(SETTINGS, changes=(*SMALL, "copies=2"))
    second = _encoded(more, everything, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert [len(encoded.versions) for encoded in (first, second)] == [2, 3]
    for a, b in zip(first.versions[1], second.versions[1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_copies_of_a_recording_that_got_another_speaker_are_computed_again(
    everything: Sequence[Utterance], tmp_path: Path, cache: Path
) -> None:
    """Babble is of other speakers; these two are always in the same part of a split."""
    _encoded(SETTINGS, everything, tmp_path)
    before = len([*cache.rglob("encoded/*.lengths.npy")])
    corrected = [replace(u, speaker="ravdess/05") if u.speaker == "ravdess/02" else u for u in everything]
    _encoded(SETTINGS, corrected, tmp_path)
    assert len([*cache.rglob("encoded/*.lengths.npy")]) == before + 1  # the only copy of their group


def test_teachers_are_refused(everything: Sequence[Utterance], tmp_path: Path) -> None:
    with messages.raises(TrainingError, "teacher-unusable"):
        make_plan(prepare(replace(SETTINGS, teachers=("crnn-speaker-fold0-seed0",)), everything, tmp_path), jobs=1)
