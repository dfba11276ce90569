"""Model files: the two formats answer alike, and what can't be used is refused with what to do about it."""

import os
import sys
import zipfile
from dataclasses import replace
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ser_edge import audio
from ser_edge.description import FILE_NAME, KEY, ModelDescription, Normalization
from ser_edge.errors import ModelError, RuntimeUnavailable
from ser_edge.features import FeatureConfig, FrontEnd
from ser_edge.model import _AT_ONCE, BUNDLED, DEFAULT, Model
from ser_edge.runtimes import RUNTIMES

LABELS = ("calm", "happy", "angry")
CONFIG = FeatureConfig(n_mels=40, n_mfcc=3, seconds=1.0)
SAME = np.eye(3)


def small_onnx(
    path: Path, description: str | None, weights: npt.ArrayLike = SAME, inputs: int = 3, outputs: int = 3
) -> Path:
    """The mean over the frames, a matrix, and softmax: a network whose answers a test can know."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["features"], ["mean"], axes=[1], keepdims=0),
            helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["answer"]),
        ],
        "small",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, None, inputs])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [None, outputs])],
        [numpy_helper.from_array(np.asarray(weights, np.float32), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if description is not None:
        helper.set_model_props(model, {KEY: description})
    onnx.save(model, path)
    return path


def described(temperature: float = 1.0, normalization: Normalization | None = None) -> str:
    return ModelDescription("small", LABELS, CONFIG, normalization, temperature).to_json()


def bundled_without_zip() -> bytes:
    content = (BUNDLED / f"{DEFAULT}.tflite").read_bytes()
    return content[: content.index(b"PK\x03\x04")]


def refusal(path: Path | str) -> str:
    with pytest.raises(ModelError) as error:
        Model(path)
    assert "\n" not in str(error.value)
    return str(error.value)


# Of a probability: LiteRT rounds what the int8 weights are multiplied with as well, ONNX Runtime doesn't.
ROUNDING = 0.1


def test_both_runtimes_answer_alike(sounds: list[Path]) -> None:
    onnx_runtime, litert = Model(f"{DEFAULT}.onnx"), Model(f"{DEFAULT}.tflite")
    # the precision that tflite-runtime 2.14 reads as well
    assert litert.description == replace(onnx_runtime.description, precision="int8-per-tensor")
    config = onnx_runtime.description.features
    for path in sounds:
        features = onnx_runtime.features(audio.read(path, config.sample_rate, config.seconds))[None]
        np.testing.assert_allclose(litert.probabilities(features), onnx_runtime.probabilities(features), atol=ROUNDING)


@pytest.mark.parametrize("suffix", RUNTIMES)
def test_a_batch_gets_the_answers_of_its_members(suffix: str) -> None:
    model = Model(DEFAULT + suffix)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 48_000)).astype(np.float32)
    batch = np.stack([model.features(one) for one in noise])
    one_by_one = np.concatenate([model.probabilities(one[None]) for one in batch])
    answers = model.probabilities(batch)
    np.testing.assert_allclose(answers, one_by_one, atol=1e-6)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("suffix", RUNTIMES)
def test_more_threads_answer_the_same(suffix: str) -> None:
    features = np.zeros((1, *Model().features(np.zeros(1, np.float32)).shape), np.float32)
    one, two = (Model(DEFAULT + suffix, threads).probabilities(features) for threads in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_bundled_model_is_known_by_name_and_by_format() -> None:
    assert Model(DEFAULT).path == Model(f"{DEFAULT}.tflite").path == BUNDLED / f"{DEFAULT}.tflite"
    assert Model(f"{DEFAULT}.onnx").path == BUNDLED / f"{DEFAULT}.onnx"


def test_temperature_and_normalization_are_applied(tmp_path: Path) -> None:
    features = np.array([[[3.0, 2.0, 1.0]]], np.float32)
    scaled = described(temperature=2.0, normalization=Normalization((1.0, 1.0, 1.0), (0.5, 1.0, 2.0)))
    answers = Model(small_onnx(tmp_path / "small.onnx", scaled)).probabilities(features)
    expected = np.exp(np.array([4.0, 1.0, 0.0]) / 2)
    np.testing.assert_allclose(answers[0], expected / expected.sum(), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.01, 0.1, 100.0])
def test_the_most_extreme_temperatures_give_probabilities(temperature: float, tmp_path: Path) -> None:
    model = Model(small_onnx(tmp_path / "small.onnx", described(temperature)))
    answers = model.probabilities(np.array([[[3.0, 2.0, 1.0]], [[0.0, 0.0, 0.1]]], np.float32))
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(answers.argmax(axis=1), [0, 2])


def test_a_long_sound_gets_the_mean_of_what_its_windows_get(tmp_path: Path) -> None:
    config = replace(CONFIG, n_fft=512, hop_length=160, top_db=None, span_db=30.0, range_db=50.0, seconds=0.2)
    description = ModelDescription("small", LABELS, config, Normalization((-20.0,) * 3, (40.0,) * 3), temperature=1.5)
    model = Model(small_onnx(tmp_path / "small.onnx", description.to_json()))
    time = np.arange(3 * 16_000) / 16_000
    samples = np.sin(2 * np.pi * (200 + 300 * time) * time).astype(np.float32)
    windows = FrontEnd(config).windows(samples)
    assert len(windows) > _AT_ONCE
    answers = model.probabilities(windows)
    assert answers.std(axis=0).max() > 0.01
    np.testing.assert_allclose(model.judge(samples), answers.mean(axis=0), atol=1e-6)


def test_an_unknown_name_is_answered_with_the_bundled_ones() -> None:
    message = refusal("gpt")
    assert message.startswith("no model called gpt; bundled: ")
    assert f"{DEFAULT}.onnx" in message
    assert f"{DEFAULT}.tflite" in message


@pytest.mark.parametrize("name", ["missing.onnx", "missing.tflite", "folder.onnx", "a" * 300 + ".onnx"])
def test_a_path_without_a_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    assert refusal(tmp_path / name) == f"{tmp_path / name}: no such model file"


def test_a_name_too_long_for_a_file_is_refused() -> None:
    assert refusal("a" * 300).startswith("no model called aaa")


@pytest.mark.parametrize("suffix", [".keras", ".pt", ""])
def test_a_file_of_another_kind_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"?")
    assert refusal(path) == f"{path}: not a model file; expected .tflite or .onnx"


@pytest.mark.parametrize("content", [b"", b"no model at all\n" * 99], ids=["empty", "text"])
@pytest.mark.parametrize(("suffix", "runtime"), [(".onnx", "ONNX Runtime"), (".tflite", "LiteRT")])
def test_a_file_that_only_has_the_suffix_is_refused(content: bytes, suffix: str, runtime: str, tmp_path: Path) -> None:
    path = tmp_path / f"renamed{suffix}"
    path.write_bytes(content)
    assert refusal(path).startswith(f"{path}: {runtime} can't open it (")


@pytest.mark.parametrize("suffix", RUNTIMES)
def test_half_a_file_is_refused(suffix: str, tmp_path: Path) -> None:
    content = (BUNDLED / f"{DEFAULT}{suffix}").read_bytes()
    path = tmp_path / f"half{suffix}"
    path.write_bytes(content[: len(content) // 2])
    assert refusal(path).startswith(f"{path}: ")


def test_foreign_models_are_refused(tmp_path: Path) -> None:
    foreign = small_onnx(tmp_path / "foreign.onnx", None)
    assert refusal(foreign) == f"{foreign}: a model without a ser-edge description; make one with ser-export"
    plain = tmp_path / "foreign.tflite"
    plain.write_bytes(bundled_without_zip())
    assert refusal(plain) == f"{plain}: a model without a ser-edge description; make one with ser-export"


def test_an_onnx_without_an_input_is_refused(tmp_path: Path) -> None:
    constant = helper.make_node("Constant", [], ["answer"], value=numpy_helper.from_array(np.ones(3, np.float32)))
    output = helper.make_tensor_value_info("answer", TensorProto.FLOAT, [3])
    graph = helper.make_graph([constant], "constant", [], [output])
    path = tmp_path / "constant.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    assert refusal(path).startswith(f"{path}: ONNX Runtime can't open it (")


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ({"weights": np.ones((3, 2)), "outputs": 2}, "3 labels are described, the network answers (1, 2)"),
        ({"weights": np.ones((9, 3)), "inputs": 9}, "the network doesn't take what its description says ("),
        ({"weights": np.full((3, 3), np.nan)}, "the network answered NaN; export it again"),
    ],
)
def test_a_description_that_does_not_fit_its_network_is_refused(
    network: dict[str, object], reason: str, tmp_path: Path
) -> None:
    path = small_onnx(tmp_path / "unfit.onnx", described(), **network)
    assert refusal(path).startswith(f"{path}: {reason}")


def test_a_description_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = small_onnx(tmp_path / "damaged.onnx", described())
    path.write_bytes(path.read_bytes().replace(b'"calm"', b'"c\xfflm"'))
    assert refusal(path).startswith(f"{path}: its description is damaged (")


DAMAGED = "its description is damaged ("
ENTRY, DIRECTORY, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"  # what the parts of a zip begin with


@pytest.mark.parametrize(
    ("part", "offset", "value", "reason"),
    [
        (DIRECTORY, 24, b"\xff\xff\xff\x7f", "its description is over 1048576 bytes"),  # its size
        (DIRECTORY, 10, b"\x63\x00", DAMAGED),  # an unknown compression
        (DIRECTORY, 8, b"\x01\x00", DAMAGED),  # encrypted
        (DIRECTORY, 42, b"\xff\xff\xff\x7f", "a model without a ser-edge description"),  # its place: past the end
        (ENTRY, 30 + len(FILE_NAME), b"\xff\xff", DAMAGED),  # the first compressed bytes
        (END, 16, b"\xff\xff\xff\x7f", DAMAGED),  # the directory's place, and by it the entry's: before the beginning
    ],
)
def test_a_tflite_with_a_damaged_zip_is_refused(
    part: bytes, offset: int, value: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "damaged.tflite"
    path.write_bytes(bundled_without_zip())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FILE_NAME, described())
    content = bytearray(path.read_bytes())
    place = content.rindex(part) + offset
    content[place : place + len(value)] = value
    path.write_bytes(content)
    assert refusal(path).startswith(f"{path}: {reason}")


def test_a_missing_runtime_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        RuntimeUnavailable, match=r"^onnxruntime can't be loaded \(.*\); try: pip install 'ser-edge\[onnx\]'$"
    ):
        Model(f"{DEFAULT}.onnx")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    with pytest.raises(RuntimeUnavailable, match=r"^ai_edge_litert can't .*; try: pip install ai-edge-litert$"):
        Model(f"{DEFAULT}.tflite")
    with pytest.raises(RuntimeUnavailable, match=r"^ai_edge_litert can't .*; try: pip install ai-edge-litert$"):
        Model(DEFAULT)


def test_where_one_runtime_is_missing_the_other_answers_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    for _ in range(2):  # a folder's judges are several, and say it once
        assert Model(DEFAULT).path == BUNDLED / f"{DEFAULT}.onnx"
    (record,) = caplog.records
    assert record.getMessage().startswith("ai_edge_litert can't be loaded (")
    assert record.getMessage().endswith("; try: pip install ai-edge-litert; crnn.onnx answers meanwhile")


def test_intel_macs_have_no_litert_so_onnx_runtime_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_spec("ser_edge.runtimes")
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
    assert Model(f"{DEFAULT}.tflite").description.labels == Model(f"{DEFAULT}.onnx").description.labels


def test_a_file_that_is_there_comes_before_a_bundled_one_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("crnn.onnx").write_text("mine, and damaged")
    with pytest.raises(ModelError, match=r"^crnn\.onnx: ONNX Runtime can't open it"):
        Model("crnn.onnx")
    assert Model("crnn").path.parent.name == "models"
