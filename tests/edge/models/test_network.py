"""Models: both runtimes agree, and what can't be used is refused with a remedy."""

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ser_edge.audio.reading import read
from ser_edge.errors import ModelError, RuntimeUnavailable
from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import FrontEnd
from ser_edge.models import loader
from ser_edge.models.bundled.names import ALIASES, BUNDLED, DEFAULT, FILES
from ser_edge.models.integrity import model_files
from ser_edge.models.loader import open_model
from ser_edge.models.metadata import ModelMetadata, Normalization
from ser_edge.models.network import MAX_BATCH, Model, apply_temperature
from ser_edge.models.runtimes.base import RUNTIMES, runtimes_by_suffix
from ser_edge.models.tolerances import BATCH, FORMATS, tolerance
from tests import messages
from tests.doubles import FakeRuntime

LABELS = ("calm", "happy", "angry")
CONFIG = FeatureConfig(n_mels=40, n_mfcc=3, seconds=1.0)
CUT = replace(CONFIG, n_fft=512, hop_length=160, top_db=None, trim_db=30.0, dynamic_range_db=50.0, seconds=0.2)


def described(temperature: float = 1.0, normalization: Normalization | None = None) -> str:
    return ModelMetadata("small", LABELS, CONFIG, normalization, temperature).to_json()


def test_both_runtimes_agree(sounds: list[Path]) -> None:
    onnx_runtime, litert = open_model("small.onnx"), open_model("small.tflite")
    # the precision that tflite-runtime 2.14 reads as well
    assert litert.metadata == replace(onnx_runtime.metadata, precision="int8-per-tensor")
    config = onnx_runtime.metadata.features
    for path in sounds:
        features = onnx_runtime.features(read(path, config.sample_rate, config.seconds))[None]
        np.testing.assert_allclose(litert.probabilities(features), onnx_runtime.probabilities(features), atol=FORMATS)


@pytest.mark.parametrize("path", model_files(), ids=lambda path: path.name)
def test_a_batch_equals_its_members_one_by_one(path: Path) -> None:
    model = open_model(path)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 48_000)).astype(np.float32)
    batch = np.stack([model.features(one) for one in noise])
    one_by_one = np.concatenate([model.probabilities(one[None]) for one in batch])
    answers = model.probabilities(batch)
    np.testing.assert_allclose(answers, one_by_one, rtol=0, atol=BATCH)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("input_shape", "computed"), [((None, None, 3), [1, 7, 20]), ((), [1, 7, 20]), ((1, 20, 3), [20, 20, 20])]
)
def test_missing_frames_are_computed_by_networks_of_a_fixed_length_only(
    input_shape: tuple[int | None, ...], computed: list[int]
) -> None:
    lengths: list[int] = []

    def compute(item: np.ndarray) -> np.ndarray:
        lengths.append(len(item))
        return np.eye(3)[int(item[0, 0])]

    runtime = FakeRuntime(compute)
    runtime.input_shape = input_shape
    model = Model(ModelMetadata("small", LABELS, CUT), runtime)
    features = np.full((3, 20, 3), np.nan, np.float32)
    for place, length in enumerate((20, 1, 7)):
        features[place, :length] = place
    lengths.clear()
    np.testing.assert_array_equal(model.probabilities(features), np.eye(3))  # in their order
    assert sorted(lengths) == computed


@pytest.mark.parametrize("path", model_files(), ids=lambda path: path.name)
def test_padding_changes_no_answer(path: Path) -> None:
    """Of masked networks, which need none; also at the shortest and at odd lengths."""
    model = open_model(path)
    module, name = RUNTIMES[path.suffix]
    runtime = getattr(import_module(module), name)(model.path.read_bytes(), model.path.name)
    assert runtime.input_shape[1] is None
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 48_000).astype(np.float32)
    features = np.stack([model.features(noise[: 160 * frames]) for frames in (299, 1, 2, 7, 100, 189, 190)])
    padded = apply_temperature(runtime.run(model.metadata.inputs(features)), model.metadata.temperature)
    bound = tolerance(path.suffix, model.metadata.precision).inputs
    np.testing.assert_allclose(model.probabilities(features), padded, rtol=0, atol=bound)


@pytest.mark.parametrize("path", model_files(), ids=lambda path: path.name)
def test_more_threads_answer_the_same(path: Path) -> None:
    one, two = (open_model(path, threads) for threads in (1, 2))
    features = np.zeros((1, *one.features(np.zeros(1, np.float32)).shape), np.float32)
    bound = tolerance(path.suffix, one.metadata.precision).inputs
    np.testing.assert_allclose(one.probabilities(features), two.probabilities(features), rtol=0, atol=bound)


def test_a_bundled_model_is_found_by_name_and_by_format() -> None:
    assert open_model("crnn").path == open_model("crnn.tflite").path == BUNDLED / "crnn.tflite"
    assert open_model("crnn.onnx").path == BUNDLED / "crnn.onnx"


@pytest.mark.parametrize(("alias", "network"), ALIASES.items())
@pytest.mark.parametrize("suffix", ["", *RUNTIMES])
def test_an_alias_is_the_name_of_a_network_with_and_without_a_suffix(
    alias: str, network: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for runtime in RUNTIMES:
        (tmp_path / f"{network}{runtime}").write_bytes((BUNDLED / f"crnn{runtime}").read_bytes())
    monkeypatch.setattr(loader, "BUNDLED", tmp_path)
    assert open_model(alias + suffix).path == tmp_path / f"{network}{suffix or next(iter(RUNTIMES))}"
    assert open_model(network + suffix).path == open_model(alias + suffix).path


def test_every_bundled_file_has_an_alias_under_which_it_is_listed() -> None:
    assert sorted(name for files in FILES.values() for name in files) == [path.name for path in model_files()]


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


def test_a_long_sound_gets_the_mean_of_its_windows(tmp_path: Path, small_onnx: Any) -> None:
    metadata = ModelMetadata("small", LABELS, CUT, Normalization((-20.0,) * 3, (40.0,) * 3), temperature=1.5)
    model = open_model(small_onnx(tmp_path / "small.onnx", metadata.to_json()))
    time = np.arange(3 * 16_000) / 16_000
    samples = np.sin(2 * np.pi * (200 + 300 * time) * time).astype(np.float32)
    windows = FrontEnd(CUT).windows(samples)
    assert len(windows) > MAX_BATCH
    answers = model.probabilities(windows)
    assert answers.std(axis=0).max() > 0.01
    np.testing.assert_allclose(model.predict_proba(samples), answers.mean(axis=0), atol=1e-6)


def test_a_network_of_another_input_than_its_metadata_is_refused(tmp_path: Path, small_onnx: Any) -> None:
    open_model(small_onnx(tmp_path / "small.onnx", described()))
    with messages.raises(ModelError, "model-mismatched"):
        open_model(small_onnx(tmp_path / "nine.onnx", described(), weights=np.ones((9, 3)), inputs=9))


def test_a_network_that_contradicts_itself_is_not_blamed_on_its_metadata(tmp_path: Path, small_onnx: Any) -> None:
    weights = np.ones((9, 3))  # doesn't fit its input of three
    with pytest.raises(ModelError) as error:
        open_model(small_onnx(tmp_path / "small.onnx", described(), weights=weights))
    assert error.value.code in {"model-damaged", "model-failed"}  # when it is opened or run, depending on the version


@pytest.mark.parametrize(
    ("output", "code"),
    [([0.2, 0.3], "model-mismatched"), ([0.2, 0.3, 0.2], "model-mismatched"), ([1.2, -0.4, 0.2], "model-mismatched"),
     ([np.nan, 0.5, 0.5], "model-failed")],
)  # fmt: skip
def test_a_network_whose_output_is_not_a_probability_per_label_is_refused(output: list[float], code: str) -> None:
    with messages.raises(ModelError, code):
        Model(ModelMetadata("small", LABELS, CONFIG), FakeRuntime(lambda _: output))


def test_an_unknown_name_is_refused_with_the_bundled_ones() -> None:
    with messages.raises(ModelError, "model-not-found") as error:
        open_model("gpt")
    assert f"{DEFAULT} (" in str(error.value)
    assert all(path.name in str(error.value) for path in model_files())


def test_a_name_too_long_for_a_file_is_refused() -> None:
    with pytest.raises(ModelError) as error:
        open_model("a" * 300)
    assert error.value.code == "model-not-found"


def test_a_missing_runtime_names_the_command_that_installs_it(without_runtimes: None) -> None:
    for name in ("small.onnx", "small.tflite", "small"):
        with messages.raises(RuntimeUnavailable, "runtime-unavailable"):
            open_model(name)


def test_without_the_preferred_runtime_the_other_is_used_and_the_log_has_it_once(
    without_litert: None, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert open_model("small").path == BUNDLED / "crnn.onnx"
    (record,) = caplog.records
    assert record.getMessage().endswith("; using crnn.onnx meanwhile")


def test_onnx_runtime_comes_first_only_without_litert() -> None:
    assert list(runtimes_by_suffix(has_litert=True)) == [".tflite", ".onnx"]
    assert list(runtimes_by_suffix(has_litert=False)) == [".onnx", ".tflite"]


def test_tflite_runtime_is_used_if_litert_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import ai_edge_litert.interpreter as litert

    stand_in = ModuleType("tflite_runtime.interpreter")
    stand_in.Interpreter = litert.Interpreter
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", stand_in)
    assert open_model("small.tflite").metadata.labels == open_model("small.onnx").metadata.labels


def test_an_existing_file_comes_before_a_bundled_one_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("crnn", "small"):
        Path(f"{name}.onnx").write_text("damaged")
        with messages.raises(ModelError, "model-damaged") as error:
            open_model(f"{name}.onnx")
        assert str(error.value).startswith(f"{name}.onnx: ")
        assert open_model(name).path.parent == BUNDLED
