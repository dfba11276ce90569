"""Trainings of a network on a frozen encoder that start from a finished run of one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ser_edge.errors import SerEdgeError
from ser_edge.models.bundled.names import BUNDLED
from ser_train.data.utterance import Utterance
from ser_train.networks.whisper_gru import standardization
from ser_train.runs.run_directory import RunDirectory
from ser_train.runs.settings import Settings
from ser_train.training.loop import TrainingError, fit
from ser_train.training.transfer.warm_start import find_warm_start
from tests import messages
from tests.train.cli.custom.custom_runs import LABELS

pytestmark = pytest.mark.slow

SMALL = ("copies=1", "classifiers=1,2-mean", "dense=8", "units=4")
OWN = Settings("whisper-gru", "speaker", epochs=1, changes=SMALL)


@pytest.fixture(scope="module")
def first(utterances: Sequence[Utterance], tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A network of one's own labels."""
    return fit(OWN, utterances, tmp_path_factory.mktemp("runs"), jobs=1, bar=False)


def network(run: RunDirectory) -> keras.Model:
    return keras.models.load_model(run.path / "model.keras")


def test_it_starts_with_the_answers_of_the_run_for_the_labels_that_both_have(
    first: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path
) -> None:
    renamed = [replace(u, emotion="alert" if u.emotion == "engaged" else u.emotion) for u in utterances]
    still = replace(OWN, changes=(*SMALL, "learning_rate=1e-9"), init=str(first.path))
    second = fit(still, renamed, tmp_path, jobs=1, bar=False)
    assert second.metadata.labels == ("alert", "bored", "sad")
    assert second.metadata.training["init"] == first.settings.name
    before, after = network(first), network(second)
    assert standardization(after) == standardization(before)
    inputs = first.metadata.normalization.apply(first.answers.features)
    places = [LABELS.index("bored"), LABELS.index("sad")]
    one, other = (logits(model, inputs) for model in (before, after))
    np.testing.assert_allclose(other[..., 1:], one[..., places], atol=1e-3)
    assert np.abs(other[..., 0] - one[..., LABELS.index("engaged")]).max() > 0.01


def logits(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """(classifiers, n, labels)"""
    outputs = [layer for layer in model.layers if layer.get_config().get("activation") == "softmax"]
    before = keras.Model(model.inputs, [layer.input for layer in outputs])
    values = before.predict(inputs, verbose=0)
    return np.stack([v @ layer.kernel.numpy() + layer.bias.numpy() for v, layer in zip(values, outputs, strict=True)])


def test_a_model_file_is_refused_in_one_line(utterances: Sequence[Utterance], tmp_path: Path) -> None:
    for name in ("accurate", str(BUNDLED / "whisper-gru.onnx"), str(BUNDLED / "whisper-gru.tflite")):
        with messages.raises(SerEdgeError, "warm-start-unusable") as caught:
            fit(replace(OWN, init=name), utterances, tmp_path, jobs=1)
        assert "run directory" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (replace(OWN, changes=(*SMALL, "classifiers=1,1-mean")), "warm-start-unusable"),
        (replace(OWN, changes=(*SMALL, "units=8")), "warm-start-unusable"),
        (replace(OWN, changes=(*SMALL, "classifiers=1-mean,2")), "warm-start-unusable"),
        (replace(OWN, fold=1), "speakers-seen"),
    ],
)
def test_another_encoder_other_sizes_and_known_speakers_are_refused(
    first: RunDirectory, utterances: Sequence[Utterance], tmp_path: Path, settings: Settings, code: str
) -> None:
    with messages.raises(SerEdgeError, code):
        fit(replace(settings, init=str(first.path)), utterances, tmp_path, jobs=1)


def test_crnn_is_none_to_start_from(utterances: Sequence[Utterance], tmp_path: Path) -> None:
    with messages.raises(TrainingError, "warm-start-unusable"):
        fit(replace(OWN, init="crnn"), utterances, tmp_path, jobs=1)


def test_the_file_of_a_run_is_no_model_file(first: RunDirectory) -> None:
    found = find_warm_start(str(first.path), 0)
    assert found.run == first
    assert found.encoder_output() == standardization(network(first))
