"""Labels people choose: their probabilities are the softmax of the logits restricted to them."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge.features.config import FeatureConfig
from ser_edge.models.labels import RESERVED, ChosenLabels
from ser_edge.models.metadata import MAX_LABEL, Accuracy, ModelMetadata
from ser_edge.models.network import Model, apply_temperature
from ser_edge.recognition.prediction import NO_SPEECH, UNCERTAIN
from tests.doubles import FakeRuntime

OWN = ("neutral", "calm", "happy", "sad", "angry")
ACCURACY = Accuracy("speaker", 5, 3, 68.4, 67.7, 67.3)
METADATA = ModelMetadata("small", OWN, FeatureConfig(), accuracy=ACCURACY, threshold=0.4, temperature=1.5)


def softmax(logits: Any) -> Any:
    powers = np.exp(np.asarray(logits, np.float64) - np.max(logits))
    return powers / powers.sum()


@given(
    logits=st.lists(st.floats(-20, 20), min_size=len(OWN), max_size=len(OWN)),
    temperature=st.floats(0.5, 4),
    chosen=st.permutations(OWN).flatmap(lambda labels: st.integers(2, len(OWN)).map(lambda n: labels[:n])),
)
def test_the_answer_is_the_softmax_restricted_to_the_chosen_labels_in_their_order(
    logits: list[float], temperature: float, chosen: list[str]
) -> None:
    calibrated = apply_temperature(softmax(logits)[None].astype(np.float32), temperature)
    selection = ChosenLabels.of(OWN, chosen)
    answer = selection.apply(calibrated)[0]
    assert selection.labels == tuple(chosen)
    expected = softmax([logits[OWN.index(label)] / temperature for label in chosen])
    np.testing.assert_allclose(answer, expected, rtol=1e-3, atol=1e-5)
    assert answer.sum() == pytest.approx(1, abs=1e-5)


@given(
    probabilities=st.lists(st.floats(0.01, 1), min_size=len(OWN), max_size=len(OWN)),
    label_map=st.dictionaries(st.sampled_from(OWN[:3]), st.sampled_from(("sad", "angry", "new", "other"))),
)
def test_the_labels_of_a_map_are_added(probabilities: list[float], label_map: dict[str, str]) -> None:
    given_ = np.array([probabilities], np.float32) / np.float32(sum(probabilities))
    selection = ChosenLabels.of(OWN, None, label_map)
    expected: dict[str, float] = {}
    for label, probability in zip(OWN, given_[0], strict=True):
        name = label_map.get(label, label)
        expected[name] = expected.get(name, 0.0) + float(probability)
    assert selection.labels == tuple(expected)  # each where the first of its labels was
    np.testing.assert_allclose(selection.apply(given_)[0], list(expected.values()), atol=1e-6)


def test_the_map_comes_before_the_choice() -> None:
    selection = ChosenLabels.of(
        OWN, ["negative", "neutral"], {"calm": "neutral", "sad": "negative", "angry": "negative"}
    )
    answers = selection.apply(np.array([[0.1, 0.2, 0.2, 0.2, 0.3]] * 2, np.float32))
    np.testing.assert_allclose(answers, [[0.625, 0.375]] * 2, atol=1e-6)


def test_all_its_own_labels_change_nothing() -> None:
    probabilities = np.array([[0.1, 0.2, 0.3, 0.15, 0.25]], np.float32)
    np.testing.assert_allclose(ChosenLabels.of(OWN, OWN).apply(probabilities), probabilities, atol=1e-6)


@pytest.mark.parametrize("left", [0.0, -0.01])  # of a network in 8 bits, which rounds
def test_where_nothing_is_left_each_is_as_likely_as_the_others(left: float) -> None:
    probabilities = np.array([[left, left, 1.0, left, left]], np.float32)
    answer = ChosenLabels.of(OWN, ["sad", "angry"]).apply(probabilities)
    assert answer.tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"labels": []}, "name two or more"),
        ({"labels": ["happy"]}, "happy alone is no choice; name two or more"),
        ({"labels": ["happy", "happy"]}, "happy is there twice; name it once"),
        ({"labels": ["happy", "angri"]}, "no angri; choose from neutral, calm, happy, sad, angry"),
        ({"labels": ["happy", "Sad"]}, "no Sad; choose from"),
        ({"labels": ["happy", ""]}, "choose from"),
        ({"labels": ["calm", "happy"], "label_map": {"calm": "neutral"}}, "calm is mapped to neutral; name that"),
        ({"labels": ["x", "happy"], "label_map": {"sad": "low"}}, "choose from neutral, calm, happy, low, angry"),
        ({"label_map": {"clam": "neutral"}}, "clam=neutral: the model has no clam; map one of neutral"),
        ({"label_map": {"calm": "calm"}}, "calm=calm: maps a label to itself; leave it out"),
        ({"label_map": {"calm": "sad", "sad": "low"}}, "calm=sad: sad is mapped too, to low; map both"),
        ({"label_map": {"calm": "sad", "sad": "calm"}}, "calm=sad: sad is mapped too, to calm; map both"),
        ({"label_map": {"calm": NO_SPEECH}}, "calm=no-speech: no-speech has a meaning of its own; give another"),
        ({"label_map": {"calm": UNCERTAIN}}, "calm=uncertain: uncertain has a meaning of its own; give another"),
        ({"label_map": {"calm": ""}}, "printable characters; give another"),
        ({"label_map": {"calm": " "}}, "printable characters; give another"),
        ({"label_map": {"calm": "\x1b[2J"}}, "printable characters; give another"),
        ({"label_map": {"calm": "a\nb"}}, "printable characters; give another"),
        ({"label_map": {"calm": "a" * (MAX_LABEL + 1)}}, "printable characters; give another"),
        ({"label_map": dict.fromkeys(OWN, "speech")}, "speech alone is no choice; name two or more"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused_with_what_to_do(choice: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        ChosenLabels.of(OWN, **choice)


@pytest.mark.parametrize(
    "choice",
    [
        {"labels": "happy,sad"},
        {"labels": b"happy"},
        {"labels": 2},
        {"labels": [1, 2]},
        {"label_map": "calm=neutral"},
        {"label_map": ["calm", "neutral"]},
        {"label_map": {"calm": 1}},
        {"label_map": {1: "calm"}},
    ],
)
def test_what_are_no_names_is_refused(choice: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(choice))):
        ChosenLabels.of(OWN, **choice)


def test_a_long_list_of_labels_is_cut_short_in_a_message() -> None:
    with pytest.raises(ValueError, match="x19 and 980 more") as refused:
        ChosenLabels.of([f"x{n}" for n in range(1000)], ["a", "b"])
    assert len(str(refused.value)) < 200


def test_names_with_a_meaning_of_their_own_are_those_of_predictions() -> None:
    assert set(RESERVED) == {NO_SPEECH, UNCERTAIN}


def test_metadata_describes_the_choice() -> None:
    chosen = ChosenLabels.of(OWN, ["happy", "neutral"], {"calm": "neutral"}).metadata(METADATA)
    assert (chosen.labels, chosen.threshold, chosen.temperature) == (("happy", "neutral"), 0.4, 1.5)
    assert chosen.label_map == {"neutral": "neutral", "calm": "neutral", "happy": "happy", "sad": None, "angry": None}
    assert (chosen.accuracy, chosen.model_accuracy) == (None, ACCURACY)  # what was measured was among all of them
    hash(chosen)


def test_labels_that_are_only_renamed_keep_the_measured_accuracy() -> None:
    renamed = {label: label.upper() for label in OWN}
    assert ChosenLabels.of(OWN, sorted(renamed.values()), renamed).metadata(METADATA).accuracy == ACCURACY
    assert ChosenLabels.of(OWN, None, {"calm": "neutral"}).metadata(METADATA).accuracy is None


def test_a_model_answers_with_them_and_the_original_stays_as_it_is() -> None:
    output = [0.1, 0.2, 0.4, 0.1, 0.2]
    model = Model(METADATA, FakeRuntime(lambda _: output))
    features = np.zeros((2, 10, METADATA.features.coefficients), np.float32)
    before = model.probabilities(features)
    first = model.with_labels(ChosenLabels.of(OWN, ["happy", "calm"]))
    second = first.with_labels(ChosenLabels.of(OWN, ["sad", "angry"]))  # again from the model's own
    calibrated = apply_temperature(np.array([output], np.float32), 1.5)[0]
    for chosen, places in ((first, [2, 1]), (second, [3, 4])):
        expected = calibrated[places] / calibrated[places].sum()
        np.testing.assert_allclose(chosen.probabilities(features), [expected] * 2, atol=1e-6)
    assert (first.metadata.labels, second.metadata.labels) == (("happy", "calm"), ("sad", "angry"))
    assert (model.metadata, first.file_metadata) == (METADATA, METADATA)
    np.testing.assert_array_equal(model.probabilities(features), before)
