"""Warm starts: an ONNX file's weights give the same answers in Keras, and only labels may be lost."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest

from ser_edge.audio.reading import read
from ser_edge.errors import SerEdgeError
from ser_edge.models.loader import open_model
from ser_edge.models.metadata import KEY
from ser_edge.models.network import Model
from ser_export.to_onnx.graph import build_graph
from ser_export.to_onnx.quantization.integer_products import has_integer_products
from ser_export.to_onnx.quantization.quantize import ONNX_PRECISIONS
from ser_train.data.corpus_loader import EMOTIONS
from ser_train.networks.zoo import NETWORKS
from ser_train.training.transfer.warm_start import WarmStart, find_warm_start
from tests import messages

CRNN = NETWORKS["crnn"]


def new(labels: int = 8, **sizes: object) -> keras.Model:
    keras.utils.set_random_seed(0)
    return CRNN.build((None, 64), labels, **sizes)


@pytest.fixture(scope="module")
def bundled() -> WarmStart:
    return find_warm_start("crnn", 0)


@pytest.fixture(scope="module")
def served() -> Model:
    return open_model("crnn.onnx")


@pytest.fixture
def inputs(served: Model, sounds: list[Path]) -> np.ndarray:
    """(sounds, frames, 64), normalised."""
    return served.metadata.inputs(np.stack([served.features(read(path, 16_000)) for path in sounds]))


def answers(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    return model.predict(inputs, verbose=0)


def test_the_bundled_network_answers_in_keras_as_in_its_runtime(
    bundled: WarmStart, served: Model, inputs: np.ndarray
) -> None:
    model = new()
    bundled.initialize(model, EMOTIONS, [inputs])
    np.testing.assert_allclose(answers(model, inputs), served._runtime.run(inputs), atol=1e-5)


@pytest.mark.slow
def test_measuring_normalizations_changes_training_steps_but_no_answer(bundled: WarmStart, inputs: np.ndarray) -> None:
    """A batch normalisation then normalises a batch to what it answers anyway."""
    on_these, on_noise = new(dropout=0.0), new(dropout=0.0)
    bundled.initialize(on_these, EMOTIONS, [inputs[:3], inputs[3:]])
    bundled.initialize(on_noise, EMOTIONS, [np.random.default_rng(0).normal(3, 2, (4, 90, 64)).astype(np.float32)])
    expected = answers(on_these, inputs)
    np.testing.assert_allclose(answers(on_noise, inputs), expected, atol=1e-5)
    np.testing.assert_allclose(on_these(inputs, training=True), expected, atol=1e-3)
    assert np.abs(np.array(on_noise(inputs, training=True)) - expected).max() > 0.01


def test_labels_that_it_has_are_kept_wherever_they_stand_and_others_are_new(
    bundled: WarmStart, inputs: np.ndarray
) -> None:
    model, before = new(3), new(3).get_weights()
    bundled.initialize(model, ("bored", "sad", "happy"), [inputs])
    whole = new()
    bundled.initialize(whole, EMOTIONS, [inputs])
    (*_, kernel, bias), (*_, known, known_bias) = model.get_weights(), whole.get_weights()
    places = [EMOTIONS.index("sad"), EMOTIONS.index("happy")]
    np.testing.assert_array_equal(kernel[:, 1:], known[:, places])
    np.testing.assert_array_equal(bias[1:], known_bias[places])
    np.testing.assert_array_equal(kernel[:, 0], before[-2][:, 0])
    assert bias[0] == 0


def test_any_onnx_file_of_ser_export_is_one_and_the_bundled_one_is_found_by_its_name(
    bundled: WarmStart, served: Model
) -> None:
    by_path = find_warm_start(str(served.path), 0)
    assert by_path == replace(bundled, name=str(served.path))
    assert by_path.digest == bundled.digest == find_warm_start("small", 0).digest
    assert bundled.metadata == served.metadata


@pytest.mark.parametrize("dense", [192, 256])  # scales of fewer than 256 columns stay float32
def test_matrices_that_int8_files_multiply_in_integers_are_read(
    dense: int, bundled: WarmStart, inputs: np.ndarray, tmp_path: Path
) -> None:
    trained, model, file = new(dense=dense), new(dense=dense), tmp_path / "large.onnx"
    exported = ONNX_PRECISIONS["int8"](build_graph(trained))
    assert has_integer_products(exported)
    onnx.helper.set_model_props(exported, {KEY: bundled.metadata.to_json()})
    onnx.save_model(exported, file)
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    find_warm_start(str(file), 0).initialize(model, EMOTIONS, [inputs])
    for known, read_back in zip(trained.weights, model.weights, strict=True):
        if known.path.endswith("kernel"):
            rounding = np.abs(known.numpy()).max() / 120
            np.testing.assert_allclose(read_back.numpy(), known.numpy(), atol=rounding, err_msg=known.path)


def test_other_sizes_are_refused(bundled: WarmStart, inputs: np.ndarray) -> None:
    with messages.raises(SerEdgeError, "warm-start-unusable"):
        bundled.initialize(new(units=8), EMOTIONS, [inputs])


def damaged(model: onnx.ModelProto) -> bytes:
    return model.SerializeToString()[:1000]


def emptied(model: onnx.ModelProto) -> bytes:
    return b""


def pointed_to(model: onnx.ModelProto) -> bytes:
    return b"version https://git-lfs.github.com/spec/v1\nsize 1\n"


def without_origin(model: onnx.ModelProto) -> bytes:
    entry = next(entry for entry in model.metadata_props if entry.key == KEY)
    entry.value = entry.value.replace('"data"', '"date"')
    return model.SerializeToString()


def with_lstm(model: onnx.ModelProto) -> bytes:
    next(node for node in model.graph.node if node.op_type == "GRU").op_type = "LSTM"
    return model.SerializeToString()


def with_transformer(model: onnx.ModelProto) -> bytes:
    next(node for node in model.graph.node if node.op_type == "Conv").op_type = "LayerNormalization"
    return model.SerializeToString()


@pytest.mark.parametrize("change", [damaged, emptied, pointed_to, without_origin, with_lstm, with_transformer])
def test_a_file_that_no_training_can_begin_with_is_refused_in_one_line(
    change: Callable[[onnx.ModelProto], bytes], served: Model, tmp_path: Path
) -> None:
    file = tmp_path / "mine.onnx"
    file.write_bytes(change(onnx.load(served.path)))
    with messages.raises(SerEdgeError, "warm-start-unusable") as caught:
        find_warm_start(str(file), 0).initialize(new(), EMOTIONS, [])
    assert str(caught.value).startswith("--init ")
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_refused_with_the_fold_filled_in(tmp_path: Path) -> None:
    with messages.raises(SerEdgeError, "warm-start-unusable") as caught:
        find_warm_start(f"{tmp_path}/crnn-fold*", 3)
    assert f"{tmp_path}/crnn-fold3" in str(caught.value)
