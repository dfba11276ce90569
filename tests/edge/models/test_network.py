"""Model files: the two formats answer alike, and what can't be used is refused with what to do about it."""

import os
import sys
from dataclasses import replace
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ser_edge.audio.reading import read
from ser_edge.errors import ModelError, RuntimeUnavailable
from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import FrontEnd
from ser_edge.models.loader import BUNDLED, DEFAULT, open_model
from ser_edge.models.metadata import ModelMetadata, Normalization
from ser_edge.models.network import MAX_BATCH
from ser_edge.models.runtimes.base import RUNTIMES
from ser_edge.models.tolerances import BATCH, FORMATS, tolerance

LABELS = ("calm", "happy", "angry")
CONFIG = FeatureConfig(n_mels=40, n_mfcc=3, seconds=1.0)


def described(temperature: float = 1.0, normalization: Normalization | None = None) -> str:
    return ModelMetadata("small", LABELS, CONFIG, normalization, temperature).to_json()


def refusal(path: Path | str) -> str:
    with pytest.raises(ModelError) as error:
        open_model(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_both_runtimes_answer_alike(sounds: list[Path]) -> None:
    onnx_runtime, litert = open_model(f"{DEFAULT}.onnx"), open_model(f"{DEFAULT}.tflite")
    # the precision that tflite-runtime 2.14 reads as well
    assert litert.metadata == replace(onnx_runtime.metadata, precision="int8-per-tensor")
    config = onnx_runtime.metadata.features
    for path in sounds:
        features = onnx_runtime.features(read(path, config.sample_rate, config.seconds))[None]
        np.testing.assert_allclose(litert.probabilities(features), onnx_runtime.probabilities(features), atol=FORMATS)


@pytest.mark.parametrize("suffix", RUNTIMES)
def test_a_batch_gets_the_answers_of_its_members(suffix: str) -> None:
    model = open_model(DEFAULT + suffix)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 48_000)).astype(np.float32)
    batch = np.stack([model.features(one) for one in noise])
    one_by_one = np.concatenate([model.probabilities(one[None]) for one in batch])
    answers = model.probabilities(batch)
    np.testing.assert_allclose(answers, one_by_one, rtol=0, atol=BATCH)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("suffix", RUNTIMES)
def test_more_threads_answer_the_same(suffix: str) -> None:
    features = np.zeros((1, *open_model().features(np.zeros(1, np.float32)).shape), np.float32)
    one, two = (open_model(DEFAULT + suffix, threads) for threads in (1, 2))
    bound = tolerance(suffix, one.metadata.precision).inputs
    np.testing.assert_allclose(one.probabilities(features), two.probabilities(features), rtol=0, atol=bound)


def test_a_bundled_model_is_known_by_name_and_by_format() -> None:
    assert open_model(DEFAULT).path == open_model(f"{DEFAULT}.tflite").path == BUNDLED / f"{DEFAULT}.tflite"
    assert open_model(f"{DEFAULT}.onnx").path == BUNDLED / f"{DEFAULT}.onnx"


def test_temperature_and_normalization_are_applied(tmp_path: Path, small_onnx: Any) -> None:
    features = np.array([[[3.0, 2.0, 1.0]]], np.float32)
    scaled = described(temperature=2.0, normalization=Normalization((1.0, 1.0, 1.0), (0.5, 1.0, 2.0)))
    answers = open_model(small_onnx(tmp_path / "small.onnx", scaled)).probabilities(features)
    expected = np.exp(np.array([4.0, 1.0, 0.0]) / 2)
    np.testing.assert_allclose(answers[0], expected / expected.sum(), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.01, 0.1, 100.0])
def test_the_most_extreme_temperatures_give_probabilities(temperature: float, tmp_path: Path, small_onnx: Any) -> None:
    model = open_model(small_onnx(tmp_path / "small.onnx", described(temperature)))
    answers = model.probabilities(np.array([[[3.0, 2.0, 1.0]], [[0.0, 0.0, 0.1]]], np.float32))
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(answers.argmax(axis=1), [0, 2])


def test_a_long_sound_gets_the_mean_of_what_its_windows_get(tmp_path: Path, small_onnx: Any) -> None:
    config = replace(CONFIG, n_fft=512, hop_length=160, top_db=None, trim_db=30.0, dynamic_range_db=50.0, seconds=0.2)
    metadata = ModelMetadata("small", LABELS, config, Normalization((-20.0,) * 3, (40.0,) * 3), temperature=1.5)
    model = open_model(small_onnx(tmp_path / "small.onnx", metadata.to_json()))
    time = np.arange(3 * 16_000) / 16_000
    samples = np.sin(2 * np.pi * (200 + 300 * time) * time).astype(np.float32)
    windows = FrontEnd(config).windows(samples)
    assert len(windows) > MAX_BATCH
    answers = model.probabilities(windows)
    assert answers.std(axis=0).max() > 0.01
    np.testing.assert_allclose(model.predict_proba(samples), answers.mean(axis=0), atol=1e-6)


def test_what_a_network_takes_is_compared_with_what_its_description_says(tmp_path: Path, small_onnx: Any) -> None:
    model = open_model(small_onnx(tmp_path / "small.onnx", described()))
    assert model._runtime.takes == (None, None, 3)
    assert refusal(small_onnx(tmp_path / "nine.onnx", described(), weights=np.ones((9, 3)), inputs=9)) == (
        f"{tmp_path / 'nine.onnx'}: the network doesn't take what its description says "
        "(it takes (any, any, 9), described are (1, 32, 3)); export it again"
    )


def test_a_network_that_fails_for_another_reason_is_quoted_not_its_description(tmp_path: Path, small_onnx: Any) -> None:
    weights = np.ones((9, 3))  # which its input, of three, can't be multiplied with
    message = refusal(small_onnx(tmp_path / "small.onnx", described(), weights=weights))
    assert message.startswith(f"{tmp_path / 'small.onnx'}: ONNX Runtime ")
    assert "description" not in message
    assert message.endswith(("; export it again", ")"))


def test_an_unknown_name_is_answered_with_the_bundled_ones() -> None:
    message = refusal("gpt")
    assert message.startswith("no model called gpt; bundled: ")
    assert f"{DEFAULT}.onnx" in message
    assert f"{DEFAULT}.tflite" in message


def test_a_name_too_long_for_a_file_is_refused() -> None:
    assert refusal("a" * 300).startswith("no model called aaa")


def test_a_missing_runtime_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        RuntimeUnavailable, match=r"^onnxruntime can't be loaded \(.*\); try: .* -m pip install 'onnxruntime>=1.20'$"
    ):
        open_model(f"{DEFAULT}.onnx")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    with pytest.raises(
        RuntimeUnavailable, match=r"^ai_edge_litert can't .*; try: .* -m pip install 'ai-edge-litert>=1.2'$"
    ):
        open_model(f"{DEFAULT}.tflite")
    with pytest.raises(
        RuntimeUnavailable, match=r"^ai_edge_litert can't .*; try: .* -m pip install 'ai-edge-litert>=1.2'$"
    ):
        open_model(DEFAULT)


def test_where_one_runtime_is_missing_the_other_answers_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    for _ in range(2):  # a folder's judges are several, and say it once
        assert open_model(DEFAULT).path == BUNDLED / f"{DEFAULT}.onnx"
    (record,) = caplog.records
    assert record.getMessage().startswith("ai_edge_litert can't be loaded (")
    assert record.getMessage().endswith(" -m pip install 'ai-edge-litert>=1.2'; crnn.onnx answers meanwhile")


def test_intel_macs_have_no_litert_so_onnx_runtime_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_spec("ser_edge.models.runtimes.base")
    assert found
    assert found.loader
    monkeypatch.setattr(sys, "platform", "darwin")
    for machine, order in (("x86_64", [".onnx", ".tflite"]), ("arm64", [".tflite", ".onnx"])):
        monkeypatch.setattr(os, "uname", lambda machine=machine: SimpleNamespace(machine=machine), raising=False)
        there = module_from_spec(found)
        found.loader.exec_module(there)
        assert list(there.RUNTIMES) == order


def test_tflite_runtime_serves_where_it_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import ai_edge_litert.interpreter as litert

    stand_in = ModuleType("tflite_runtime.interpreter")
    stand_in.Interpreter = litert.Interpreter
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", stand_in)
    assert open_model(f"{DEFAULT}.tflite").metadata.labels == open_model(f"{DEFAULT}.onnx").metadata.labels


def test_a_file_that_is_there_comes_before_a_bundled_one_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("crnn.onnx").write_text("mine, and damaged")
    with pytest.raises(ModelError, match=r"^crnn\.onnx: not an ONNX file"):
        open_model("crnn.onnx")
    assert open_model("crnn").path.parent.name == "models"
