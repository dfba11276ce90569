"""Graphs that take samples compute what ser-edge does: DC offset, log-mel, trimming, windows, network, temperature."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from ser_edge import Recognizer
from ser_edge.audio.reading import read
from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import FrontEnd
from ser_edge.models.bundled.names import WAVEFORM
from ser_edge.models.loader import open_model
from ser_edge.models.tolerances import tolerance
from ser_export.pipeline.waveform_files import export_waveform
from ser_export.to_onnx.waveform import samples as waveform_samples
from ser_export.to_onnx.waveform.builder import Builder
from ser_export.to_onnx.waveform.fourier import Transform
from ser_export.to_onnx.waveform.front_end import log_mel, utterance
from ser_export.verification.waveform import open_waveform, waveform_inputs, without_dc
from ser_train.networks.zoo import NETWORKS

DECIBELS = 0.02  # both round in float32, which shows 50 to 80 dB below the peak; measured 2e-3, and 8e-3 in one product
SPEECH = NETWORKS["crnn"].features
CONFIGS = {
    **{name: network.features for name, network in NETWORKS.items() if name not in ("rnn", "lstm")},
    "any length, not trimmed": FeatureConfig(n_fft=512, hop_length=128, n_mels=20, n_mfcc=13, seconds=None),
    "any length, trimmed": replace(SPEECH, seconds=None),
    "a hop that shares no factor": replace(SPEECH, n_fft=510, win_length=None, hop_length=161),
    "a hop of a whole frame": FeatureConfig(n_fft=250, hop_length=250, n_mels=10, n_mfcc=None, seconds=1.0),
    "a prime transform": replace(SPEECH, n_fft=2 * 211, win_length=200, hop_length=100),
}


def computed(build: Callable[[Builder, str], str]) -> Callable[[np.ndarray], np.ndarray]:
    """A function of samples that runs the graph that is built."""
    g = Builder()
    output = build(g, "samples")
    graph = helper.make_graph(
        g.nodes,
        "part",
        [helper.make_tensor_value_info("samples", TensorProto.FLOAT, ["samples"])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        list(g.constants.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda samples: session.run([output], {"samples": samples})[0]


@pytest.mark.parametrize(("n", "hop"), [(512, 160), (400, 160), (2048, 512), (422, 100), (510, 161), (16, 16)])
def test_two_products_are_a_fourier_transform(n: int, hop: int) -> None:
    random = np.random.default_rng(n)
    window, frame = random.uniform(size=n).astype(np.float32), random.normal(size=n).astype(np.float32)
    transform = Transform.of(window, hop)
    columns = frame.reshape(transform.rows, transform.columns).T[:, None]
    halves = (columns @ transform.first).transpose(1, 2, 0).reshape(-1, 2 * transform.columns)
    power = np.square(halves @ transform.second).ravel() @ transform.power
    np.testing.assert_allclose(power, np.abs(np.fft.rfft(frame * window)) ** 2, rtol=1e-4, atol=1e-6 * power.max())
    assert hop % transform.columns == 0


@pytest.mark.parametrize("rate", [16_000, 8_000])
def test_a_dc_offset_is_removed_as_from_a_sound(rate: int) -> None:
    run = computed(lambda g, x: waveform_samples.without_dc(g, x, rate))
    config = FeatureConfig(sample_rate=rate, trim_db=30.0)
    wander = np.cumsum(np.random.default_rng(0).normal(0, 1e-3, 20 * rate)).astype(np.float32)
    for samples in (*waveform_inputs(rate), wander):
        np.testing.assert_allclose(run(samples), without_dc(samples, config), rtol=0, atol=1e-6)


def test_a_constant_is_silence() -> None:
    run = computed(lambda g, x: waveform_samples.without_dc(g, x, 16_000))
    for length in (1, 1600, 1601, 40_000):
        assert not run(np.full(length, 0.3, np.float32)).any()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_features_are_those_of_the_front_end(config: FeatureConfig) -> None:
    run = computed(lambda g, x: utterance(g, log_mel(g, x, config), config))
    front_end = FrontEnd(config)
    for samples in waveform_inputs(config.sample_rate):
        clean = without_dc(samples, config)
        expected = front_end(clean)
        expected = expected[~np.isnan(expected[:, 0])]
        np.testing.assert_allclose(run(clean), expected, rtol=0, atol=DECIBELS)


@pytest.mark.parametrize("name", ["small", "accurate"])
def test_the_bundled_models_answer_real_speech_as_predict_does(name: str, speech: list[Path], tmp_path: Path) -> None:
    model = Recognizer(f"{name}.onnx")
    path = WAVEFORM
    if name == "accurate":
        export_waveform(model.path, path := tmp_path / "accurate.wave.onnx")
    run, bounds = open_waveform(path), tolerance(".onnx", model.metadata.precision)
    for sound in speech:
        samples = read(sound, 16_000)
        probabilities, embedding = run(samples)
        expected = np.array(list(model.predict(samples, sample_rate=16_000).probabilities.values()))
        np.testing.assert_allclose(probabilities, expected, rtol=0, atol=bounds.inputs)
        second, first = np.sort(expected)[-2:]
        assert first - second < 2 * bounds.inputs or probabilities.argmax() == expected.argmax()
        assert embedding.shape == open_model(model.path).embed(samples).shape


def test_a_long_sound_is_the_mean_of_its_windows() -> None:
    model, run = open_model("small.onnx"), open_waveform(WAVEFORM)
    random = np.random.default_rng(0)
    voices = waveform_inputs(16_000)[:8]
    long = np.concatenate([random.uniform(0.3, 1) * voice for voice in [*voices, *voices]])
    assert len(model.front_end.windows(long)) > 5
    clean = without_dc(long, model.metadata.features)
    bound = tolerance(".onnx", model.metadata.precision).inputs
    np.testing.assert_allclose(run(long)[0], model.predict_proba(clean), rtol=0, atol=bound)
    embedding = model.embed(clean)
    np.testing.assert_allclose(run(long)[1], embedding, rtol=0, atol=1e-4 * np.abs(embedding).max())
