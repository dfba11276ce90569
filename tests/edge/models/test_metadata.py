"""Metadata is read entirely or refused with a ModelError that names the file."""

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
from tests import messages

FULL = ModelMetadata(
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


def refusal(text: str | bytes | None, code: str = "model-metadata") -> str:
    with messages.raises(ModelError, code) as error:
        ModelMetadata.from_json(text, "some.onnx")
    assert str(error.value).startswith("some.onnx: ")
    assert str(error.value).isprintable()
    return str(error.value)


def changed(**changes: Any) -> dict[str, Any]:
    return {**json.loads(FULL.to_json()), **changes}


@pytest.mark.parametrize("metadata", [FULL, BARE], ids=lambda metadata: metadata.name)
def test_what_was_written_is_read_again(metadata: ModelMetadata) -> None:
    again = ModelMetadata.from_json(metadata.to_json(), "some.onnx")
    assert again == metadata
    assert hash(again) == hash(metadata)
    assert again == ModelMetadata.from_json(metadata.to_json().encode(), "some.onnx")


def test_renamed_fields_keep_their_keys_in_the_file() -> None:
    written = json.loads(FULL.to_json())
    assert list(written["normalization"]) == ["mean", "deviation"]
    assert {"span_db": 20.0, "span_margin": 10, "range_db": 56.0}.items() <= written["features"].items()


def test_normalization_scales_each_coefficient() -> None:
    scaled = Normalization((1.0, -2.0), (2.0, 4.0)).apply(np.array([[3.0, 2.0], [1.0, -2.0]], np.float32))
    np.testing.assert_array_equal(scaled, [[1.0, 1.0], [0.0, 0.0]])
    assert scaled.dtype == np.float32


@pytest.mark.parametrize("normalization", [None, Normalization((1.0, -2.0, 0.0), (2.0, 4.0, 1.0))])
def test_missing_frames_enter_the_network_as_zeros(normalization: Normalization | None) -> None:
    metadata = replace(FULL, normalization=normalization)
    features = np.array([[3.0, 2.0, 1.0], [np.nan] * 3], np.float32)
    inputs = metadata.inputs(features)
    np.testing.assert_array_equal(inputs, [[3.0, 2.0, 1.0] if normalization is None else [1.0, 1.0, 1.0], [0.0] * 3])
    assert inputs.dtype == np.float32
    assert np.isnan(features[1]).all()  # left as it was


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "model-metadata"),
        ("", "model-damaged"),
        (FULL.to_json()[:200], "model-damaged"),
        (b"\xff\xfe\x00", "model-damaged"),
        ("[" * 100_000, "model-damaged"),
        (FULL.to_json().replace("1.5", "NaN"), "model-damaged"),
        (FULL.to_json().replace("1.5", "-Infinity"), "model-damaged"),
        ("null", "model-metadata"),
        ("[]", "model-metadata"),
        ("{}", "model-metadata"),
        (json.dumps(changed(format="yamnet")), "model-metadata"),
        (json.dumps(changed(version=3)), "model-version"),
        (json.dumps(changed(version=1)), "model-version"),
        (json.dumps(changed(version=None)), "model-version"),
    ],
)
def test_what_is_not_metadata_is_refused(text: str | bytes | None, code: str) -> None:
    refusal(text, code)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"version": 2.0}, "metadata.version"),
        ({"pitch": 1}, "metadata.pitch"),
        ({"name": 7}, "metadata.name"),
        ({"labels": "abc"}, "metadata.labels"),
        ({"labels": ["calm", 2]}, "metadata.labels"),
        ({"labels": ["calm", None]}, "metadata.labels"),
        ({"labels": ["calm"]}, "labels"),
        ({"labels": ["calm", "calm"]}, "labels"),
        ({"labels": ["calm", ""]}, "labels"),
        ({"labels": list(map(str, range(10_000)))}, "labels"),
        ({"features": None}, "metadata.features"),
        ({"normalization": {"mean": [1]}}, "metadata.normalization.deviation"),
        ({"normalization": {"mean": [1], "deviation": [1]}}, "normalization"),
        ({"normalization": {"mean": [1, 2, 3], "deviation": [1]}}, "normalization"),
        ({"normalization": {"mean": [1, 2, 3], "deviation": [1, 0, 1]}}, "normalization"),
        ({"normalization": {"mean": [1, 2, "3"], "deviation": [1, 1, 1]}}, "metadata.normalization.mean"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": "1"}, "metadata.temperature"),
        ({"accuracy": {}}, "metadata.accuracy.f1"),
        ({"training": []}, "metadata.training"),
        ({"features": {**changed()["features"], "n_fft": 2048.0}}, "metadata.features.n_fft"),
        ({"features": {**changed()["features"], "n_fft": 2047}}, "n_fft"),
        ({"features": {**changed()["features"], "hop_length": True}}, "metadata.features.hop_length"),
        ({"features": {**changed()["features"], "n_mels": "128"}}, "metadata.features.n_mels"),
        ({"features": {**changed()["features"], "top_db": []}}, "metadata.features.top_db"),
        ({"features": {**changed()["features"], "whitening": True}}, "metadata.features.whitening"),
    ],
)
def test_an_invalid_field_is_named(changes: dict[str, Any], field: str) -> None:
    assert field in refusal(json.dumps(changed(**changes)))


def test_a_long_value_is_shortened_in_the_message() -> None:
    with pytest.raises(ModelError) as error:
        ModelMetadata.from_json(json.dumps(changed(version="x" * 9999)), "some.onnx")
    assert error.value.code == "model-version"
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("number", ["1e999", "1" + "0" * 400])
def test_numbers_beyond_floats_are_refused(number: str) -> None:
    refusal(FULL.to_json().replace("200.0", number))
    refusal(FULL.to_json().replace("80.0", number))


def test_every_field_must_be_there() -> None:
    for part in (None, "features", "normalization", "accuracy"):
        for name in changed() if part is None else changed()[part]:
            data = changed()
            del (data if part is None else data[part])[name]
            refusal(json.dumps(data), "model-version" if name == "version" else "model-metadata")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def read_or_refused(data: Any) -> None:
    try:
        metadata = ModelMetadata.from_json(json.dumps(data), "some.onnx")
    except ModelError:
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
def test_any_changed_metadata_is_read_or_refused(data: st.DataObject) -> None:
    metadata = copy.deepcopy(changed())
    for _ in range(data.draw(st.integers(1, 2))):
        place = metadata
        part = data.draw(st.sampled_from([None, "features", "normalization", "accuracy"]))
        if part is not None and isinstance(place.get(part), dict):
            place = place[part]
        name = data.draw(st.sampled_from([*sorted(place), "unknown"]))
        place[name] = data.draw(json_values)
        if data.draw(st.integers(0, 9)) == 0:
            del place[name]
    read_or_refused(metadata)


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J", "a\rb"])
def test_text_from_a_file_cannot_break_a_line_or_move_the_cursor(text: str) -> None:
    assert ascii(text) in refusal(json.dumps(changed(accuracy={text: None})))
    accuracy = {**changed()["accuracy"], "protocol": text}
    for field in ({"name": text}, {"labels": ["calm", text]}, {"precision": text}, {"accuracy": accuracy}):
        assert "must be printable" in refusal(json.dumps(changed(**field)))
