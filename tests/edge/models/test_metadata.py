"""A model file's description is read whole or refused, always as a ModelError that names the file."""

import copy
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge.errors import ModelError
from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import Accuracy, ModelMetadata, Normalization

DESCRIPTION = ModelMetadata(
    name="gru-speaker",
    labels=("calm", "angry", "glücklich"),
    features=FeatureConfig(n_mfcc=3, win_length=1024, trim_db=20.0, dynamic_range_db=56.0),
    normalization=Normalization((-500.0, 40.0, 0.1), (200.0, 60.5, 1e-3)),
    temperature=1.5,
    accuracy=Accuracy("speaker", folds=5, seeds=1, wa=40.1, uar=39.2, f1=38.3),
    precision="int8",
    training={"data": "RAVDESS", "not_heard": ["03-01", 7, None]},
)
BARE = ModelMetadata("bare", ("a", "b"), FeatureConfig(seconds=None, top_db=None, n_mfcc=None))


def refusal(text: str | bytes | None) -> str:
    with pytest.raises(ModelError) as error:
        ModelMetadata.from_json(text, "some.onnx")
    assert str(error.value).startswith("some.onnx: ")
    assert "\n" not in str(error.value)
    return str(error.value)


def changed(**changes: Any) -> dict[str, Any]:
    return {**json.loads(DESCRIPTION.to_json()), **changes}


@pytest.mark.parametrize("metadata", [DESCRIPTION, BARE], ids=lambda metadata: metadata.name)
def test_what_was_written_is_read_again(metadata: ModelMetadata) -> None:
    again = ModelMetadata.from_json(metadata.to_json(), "some.onnx")
    assert again == metadata
    assert hash(again) == hash(metadata)
    assert again == ModelMetadata.from_json(metadata.to_json().encode(), "some.onnx")


def test_normalization_scales_each_coefficient() -> None:
    scaled = Normalization((1.0, -2.0), (2.0, 4.0)).apply(np.array([[3.0, 2.0], [1.0, -2.0]], np.float32))
    np.testing.assert_array_equal(scaled, [[1.0, 1.0], [0.0, 0.0]])
    assert scaled.dtype == np.float32


@pytest.mark.parametrize("normalization", [None, Normalization((1.0, -2.0, 0.0), (2.0, 4.0, 1.0))])
def test_frames_that_are_not_there_enter_the_network_as_zeros(normalization: Normalization | None) -> None:
    metadata = replace(DESCRIPTION, normalization=normalization)
    features = np.array([[3.0, 2.0, 1.0], [np.nan] * 3], np.float32)
    inputs = metadata.inputs(features)
    np.testing.assert_array_equal(inputs, [[3.0, 2.0, 1.0] if normalization is None else [1.0, 1.0, 1.0], [0.0] * 3])
    assert inputs.dtype == np.float32
    assert np.isnan(features[1]).all()  # left as it was


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "a model without a ser-edge description; make one with ser-export"),
        ("", "its description is damaged"),
        (DESCRIPTION.to_json()[:200], "its description is damaged"),
        (b"\xff\xfe\x00", "its description is damaged"),
        ("[" * 100_000, "its description is damaged"),
        (DESCRIPTION.to_json().replace("1.5", "NaN"), "its description is damaged (NaN is not JSON)"),
        (DESCRIPTION.to_json().replace("1.5", "-Infinity"), "its description is damaged (-Infinity is not JSON)"),
        ("null", "its description is not ser-edge's"),
        ("[]", "its description is not ser-edge's"),
        ("{}", "its description is not ser-edge's"),
        (json.dumps(changed(format="yamnet")), "its description is not ser-edge's"),
        (json.dumps(changed(version=3)), "description version 3, this ser-edge reads 2; install a newer ser-edge"),
        (json.dumps(changed(version=1)), "description version 1, this ser-edge reads 2; make it again"),
        (json.dumps(changed(version=None)), "description version None"),
    ],
)
def test_what_is_no_description_is_refused(text: str | bytes | None, reason: str) -> None:
    assert refusal(text).startswith(f"some.onnx: {reason}")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 2.0}, "description.version is float, not int"),
        ({"pitch": 1}, "missing or unknown: description.pitch"),
        ({"name": 7}, "description.name is int, not str"),
        ({"labels": "abc"}, "description.labels is str, not list"),
        ({"labels": ["calm", 2]}, "description.labels is int, not str"),
        ({"labels": ["calm", None]}, "description.labels is NoneType, not str"),
        ({"labels": ["calm"]}, "labels must be at least two, all different"),
        ({"labels": ["calm", "calm"]}, "labels must be at least two, all different"),
        ({"labels": ["calm", ""]}, "labels must be at least two, all different"),
        ({"features": None}, "description.features is NoneType, not dict"),
        ({"normalization": {"mean": [1]}}, "missing or unknown: description.normalization.deviation"),
        ({"normalization": {"mean": [1], "deviation": [1]}}, "normalization and features differ in the number"),
        ({"normalization": {"mean": [1, 2, 3], "deviation": [1]}}, "normalization: mean and deviation differ"),
        ({"normalization": {"mean": [1, 2, 3], "deviation": [1, 0, 1]}}, "normalization: means must be finite"),
        ({"normalization": {"mean": [1, 2, "3"], "deviation": [1, 1, 1]}}, "description.normalization.mean is str"),
        ({"temperature": 0}, "temperature must be 0.01 to 100"),
        ({"temperature": "1"}, "description.temperature is str, not float"),
        ({"accuracy": {}}, "missing or unknown: description.accuracy.f1"),
        ({"training": []}, "description.training is list, not dict"),
    ],
)
def test_what_does_not_hold_together_is_refused(changes: dict[str, Any], reason: str) -> None:
    message = refusal(json.dumps(changed(**changes)))
    assert message.startswith(f"some.onnx: its description doesn't hold together ({reason}")
    assert message.endswith("export it again")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("n_fft", 2048.0, "description.features.n_fft is float, not int"),
        ("n_fft", 2047, "n_fft must be even, 16 to 65536"),
        ("hop_length", True, "description.features.hop_length is bool, not int"),
        ("n_mels", "128", "description.features.n_mels is str, not int"),
        ("top_db", [], "description.features.top_db is list, not float"),
        ("whitening", True, "missing or unknown: description.features.whitening"),
    ],
)
def test_settings_that_make_no_sense_are_refused(field: str, value: Any, reason: str) -> None:
    features = {**changed()["features"], field: value}
    assert reason in refusal(json.dumps(changed(features=features)))


@pytest.mark.parametrize("number", ["1e999", "1" + "0" * 400])
def test_numbers_beyond_floats_are_refused(number: str) -> None:
    refusal(DESCRIPTION.to_json().replace("200.0", number))
    refusal(DESCRIPTION.to_json().replace("80.0", number))


def test_every_field_must_be_there() -> None:
    for part in (None, "features", "normalization", "accuracy"):
        for name in changed() if part is None else changed()[part]:
            data = changed()
            del (data if part is None else data[part])[name]
            refusal(json.dumps(data))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def read_or_refused(data: Any) -> None:
    try:
        metadata = ModelMetadata.from_json(json.dumps(data), "some.onnx")
    except ModelError:
        refusal(json.dumps(data))
        return
    assert ModelMetadata.from_json(metadata.to_json(), "some.onnx") == metadata


@settings(deadline=None)
@given(
    json_values | st.fixed_dictionaries({"format": st.just("ser_edge"), "version": st.integers(), "name": json_values})
)
def test_any_json_is_read_or_refused(data: Any) -> None:
    read_or_refused(data)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_changed_description_is_read_or_refused(data: st.DataObject) -> None:
    metadata = copy.deepcopy(changed())
    for _ in range(data.draw(st.integers(1, 2))):
        place = metadata
        part = data.draw(st.sampled_from([None, "features", "normalization", "accuracy"]))
        if part is not None and isinstance(place.get(part), dict):
            place = place[part]
        name = data.draw(st.sampled_from([*sorted(place), "unheard_of"]))
        place[name] = data.draw(json_values)
        if data.draw(st.integers(0, 9)) == 0:
            del place[name]
    read_or_refused(metadata)


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J", "a\rb"])
def test_what_a_file_says_cannot_break_a_line_or_move_the_cursor(text: str) -> None:
    stranger = refusal(json.dumps(changed(accuracy={text: None})))
    assert ascii(text) in stranger
    assert stranger.isprintable()
    accuracy = {**changed()["accuracy"], "protocol": text}
    for field in ({"name": text}, {"labels": ["calm", text]}, {"precision": text}, {"accuracy": accuracy}):
        assert "must be printable" in refusal(json.dumps(changed(**field)))
