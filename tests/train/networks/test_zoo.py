"""The networks: the notebook's are its own layer for layer; `crnn` hears an utterance, and not what fills it up."""

from dataclasses import replace

import numpy as np
import pytest
from keras import layers

from ser_edge.features.config import FeatureConfig
from ser_train.networks.config import AugmentedConfig, BaselineConfig
from ser_train.networks.zoo import NETWORKS

TINY = replace(AugmentedConfig(), channels=(4, 4, 4), dense=8, units=4)


def recurrent_parameters(gates: int, biases: int, inputs: int, units: int) -> int:
    """Of both directions: input and recurrent kernels, and biases."""
    return 2 * gates * (inputs * units + units * units + biases * units)


@pytest.mark.parametrize(
    ("name", "layer", "gates", "biases"),
    [("rnn", "SimpleRNN", 1, 1), ("lstm", "LSTM", 4, 1), ("gru", "GRU", 3, 2)],
)
def test_the_real_networks_are_the_notebooks_layer_for_layer(name: str, layer: str, gates: int, biases: int) -> None:
    model = NETWORKS[name].build((94, 40), 8)
    first, _, second, _, dense, answer = model.layers
    assert model.input_shape == (None, 94, 40)
    assert [type(part).__name__ for part in model.layers] == [
        "Bidirectional", "Dropout", "Bidirectional", "Dropout", "Dense", "Dense"
    ]  # fmt: skip
    for part, units, sequences in ((first, 128, True), (second, 64, False)):
        assert part.merge_mode == "concat"
        assert type(part.forward_layer).__name__ == type(part.backward_layer).__name__ == layer
        assert (part.forward_layer.units, part.forward_layer.return_sequences) == (units, sequences)
    assert [part.rate for part in model.layers if isinstance(part, layers.Dropout)] == [0.2, 0.2]
    assert (dense.units, dense.activation.__name__) == (64, "relu")
    assert (answer.units, answer.activation.__name__) == (8, "softmax")
    expected = recurrent_parameters(gates, biases, 40, 128) + recurrent_parameters(gates, biases, 256, 64)
    assert model.count_params() == expected + (128 * 64 + 64) + (64 * 8 + 8)
    assert model.count_params() == {"rnn": 93_128, "lstm": 346_184, "gru": 262_984}[name]


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_the_real_networks_are_trained_with_the_notebooks_settings(name: str) -> None:
    network = NETWORKS[name]
    assert network.recipe == BaselineConfig(learning_rate=5e-4, batch_size=32, epochs=30, patience=5)
    assert (network.features.frames, network.features.coefficients) == (94, 40)
    assert network.features == FeatureConfig()


@pytest.mark.parametrize(("name", "layer"), [("whisper-notebook-gru", "GRU"), ("whisper-notebook-lstm", "LSTM")])
def test_the_notebooks_layers_follow_the_encoder(name: str, layer: str) -> None:
    network = NETWORKS[name]
    model = network.build((None, 80), 8, **network.recipe.sizes)
    ours = [part for part in model.layers if isinstance(part, layers.Bidirectional | layers.Dropout | layers.Dense)]
    notebook = NETWORKS[layer.lower()].build((94, 40), 8).layers
    assert [type(part) for part in ours[-6:]] == [type(part) for part in notebook]
    for part, theirs in zip(ours[-6:], notebook, strict=True):
        assert part.get_config().get("units") == theirs.get_config().get("units")
        assert part.get_config().get("rate") == theirs.get_config().get("rate")
        if isinstance(part, layers.Bidirectional):
            assert type(part.forward_layer).__name__ == layer
            assert part.forward_layer.units == theirs.forward_layer.units


@pytest.fixture(scope="module")
def crnn():
    """A small one for utterances of any length, with weights and statistics that aren't those of the beginning."""
    network = NETWORKS["crnn"]
    model = network.build((None, network.features.coefficients), 8, **TINY.sizes)
    random = np.random.default_rng(0)
    model.set_weights(
        [
            np.abs(random.normal(0.3, 0.3, w.shape)) + 0.1 if "variance" in v.name else random.normal(0, 0.3, w.shape)
            for v, w in zip(model.weights, model.get_weights(), strict=True)
        ]
    )
    return model


def spectrum_of(frames: int, seed: int = 0) -> np.ndarray:
    """(frames, 64) of a normalised utterance."""
    return np.random.default_rng([seed, frames]).standard_normal((frames, 64)).astype(np.float32)


def answer(model, *utterances: np.ndarray, length: int | None = None) -> np.ndarray:
    """Of a batch, each utterance filled up with zeros."""
    length = length or max(map(len, utterances))
    return model.predict_on_batch(np.stack([np.pad(u, ((0, length - len(u)), (0, 0))) for u in utterances]))


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 40, 97])
def test_how_much_follows_an_utterance_does_not_change_the_answer(frames: int, crnn) -> None:
    alone = answer(crnn, spectrum_of(frames))
    for length in (frames + 1, frames + 8, 300):
        np.testing.assert_allclose(answer(crnn, spectrum_of(frames), length=length), alone, atol=1e-6)
    longer = np.concatenate([spectrum_of(frames), spectrum_of(8, seed=1)])
    assert abs(answer(crnn, longer) - alone).max() > 1e-3  # frames that are there do


def test_an_utterance_is_answered_in_a_batch_as_alone(crnn) -> None:
    utterances = [spectrum_of(frames) for frames in (30, 55, 120)]
    together = answer(crnn, *utterances)
    for row, utterance in zip(together, utterances, strict=True):
        np.testing.assert_allclose(row[None], answer(crnn, utterance), atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-6)


def test_the_network_for_one_length_answers_as_the_one_for_any(crnn) -> None:
    fixed = NETWORKS["crnn"].build((300, 64), 8, **TINY.sizes)
    fixed.set_weights(crnn.get_weights())
    np.testing.assert_allclose(answer(fixed, spectrum_of(150), length=300), answer(crnn, spectrum_of(150)), atol=1e-6)


def test_the_network_we_ship_is_as_large_as_its_recipe_says() -> None:
    network = NETWORKS["crnn"]
    assert network.recipe == AugmentedConfig()
    model = network.build((network.features.frames, network.features.coefficients), 8, **network.recipe.sizes)
    assert model.input_shape == (None, 300, 64)
    convolutions = 9 * (2 * 24 + 24 * 48 + 48 * 96)  # no biases
    normalizations = 4 * (24 + 48 + 96)
    dense = 8 * 96 * 128 + 128  # 64 bands, halved thrice
    pooling, outputs = 160, 3 * 160 * 8 + 8
    assert model.count_params() == (
        convolutions + normalizations + dense + recurrent_parameters(3, 2, 128, 80) + pooling + outputs
    )


def test_the_network_we_ship_hears_speech_of_any_level_at_10_ms() -> None:
    config = NETWORKS["crnn"].features
    assert (config.sample_rate, config.n_fft, config.win_length, config.hop_length) == (16_000, 512, 400, 160)
    assert (config.n_mels, config.n_mfcc, config.f_min, config.f_max) == (64, None, 50.0, 8000.0)
    assert (config.top_db, config.trim_db, config.dynamic_range_db) == (None, 20.0, 56.0)
