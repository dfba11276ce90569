"""`Prediction` as a dictionary, and as a table of pandas."""

import json
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser_edge import FileResult, Prediction, Recognizer, RuntimeUnavailable, predictions_to_frame
from ser_edge.errors.install_hints import install_extra
from ser_edge.output.writers import json_line
from tests import messages

HAPPY = Prediction("a.wav", 0.0, 1.25, "happy", 0.75, {"happy": 0.75, "sad": 0.25}, 0.5)
SILENT = Prediction(None, 0.5, 3.5, "no-speech", 0.0, {"happy": 0.0, "sad": 0.0})


def test_the_dictionary_is_the_json_object_of_the_command(sounds: list[Path]) -> None:
    for prediction in (HAPPY, SILENT, *Recognizer("small").predict(sounds)):
        found = prediction.to_dict()
        assert json.loads(json_line(prediction)) == found
        assert list(found) == [field.name for field in fields(Prediction) if field.name != "time"]
        assert json.loads(json.dumps(found)) == found


def test_live_sound_has_a_time_in_the_dictionary() -> None:
    live = HAPPY.at_time(0.0)
    assert live.to_dict() == HAPPY.to_dict() | {"time": live.time}


def test_ratios_have_four_digits_in_the_dictionary() -> None:
    found = Prediction("a.wav", 0.0, 1.0, "sad", 2 / 3, {"sad": 2 / 3, "happy": 1 / 3}, 1 / 7).to_dict()
    assert (found["confidence"], found["speech"]) == (0.6667, 0.1429)
    assert found["probabilities"] == {"sad": 0.6667, "happy": 0.3333}


def test_the_table_has_a_row_for_each_prediction(sounds: list[Path]) -> None:
    predictions = Recognizer("small").predict(sounds)
    frame = predictions_to_frame(predictions)
    assert list(frame.columns) == ["label", "confidence", "speech", *predictions[0].probabilities]
    for prediction, (index, row) in zip(predictions, frame.iterrows(), strict=True):
        assert index == (prediction.path, pd.Timedelta(seconds=0), pd.Timedelta(seconds=prediction.end))
        assert row["label"] == prediction.label
        assert row[["confidence", "speech"]].tolist() == [prediction.confidence, prediction.speech]
        assert row[list(prediction.probabilities)].to_dict() == prediction.probabilities


@pytest.mark.parametrize("predictions", [[], [HAPPY], [SILENT], [HAPPY, SILENT, HAPPY]], ids=len)
def test_its_index_and_types_are_the_same_whatever_is_in_it(predictions: list[Prediction]) -> None:
    frame = predictions_to_frame(iter(predictions))
    assert list(frame.index.names) == ["file", "start", "end"]
    assert list(map(str, frame.index.dtypes)) == ["string", "timedelta64[ns]", "timedelta64[ns]"]
    assert {str(kind) for kind in frame.dtypes[1:]} == {"float64"}
    assert len(frame) == len(predictions)


def test_what_is_none_is_missing_in_the_table() -> None:
    frame = predictions_to_frame([SILENT])
    assert frame.index.get_level_values("file").isna().all()
    assert np.isnan(frame["speech"].item())


def test_predictions_of_several_recognizers_share_a_table() -> None:
    other = Prediction("b.wav", 0.0, 1.0, "loud", 1.0, {"loud": 1.0})
    frame = predictions_to_frame([HAPPY, other])
    assert list(frame.columns[3:]) == ["happy", "sad", "loud"]
    assert frame["loud"].isna().tolist() == [True, False]


def test_a_label_may_be_called_as_a_column_is() -> None:
    frame = predictions_to_frame([Prediction("a.wav", 0.0, 1.0, "label", 1.0, {"label": 1.0, "speech": 0.0})])
    assert list(frame.columns) == ["label", "confidence", "speech", "label", "speech"]
    assert frame.iloc[0].tolist()[3:] == [1.0, 0.0]


def test_one_prediction_is_a_row() -> None:
    pd.testing.assert_frame_equal(predictions_to_frame(HAPPY), predictions_to_frame([HAPPY]))


def test_what_is_no_prediction_is_a_type_error_with_the_line_to_type() -> None:
    with pytest.raises(TypeError, match=r"result\.predictions"):
        predictions_to_frame([FileResult("a.wav", (HAPPY,))])
    with pytest.raises(TypeError, match="str"):
        predictions_to_frame(["a.wav"])


def test_without_pandas_the_error_has_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with messages.raises(RuntimeUnavailable, "extra-missing") as caught:
        predictions_to_frame([HAPPY])
    assert str(caught.value).endswith(f"; try: {install_extra('pandas')}")
