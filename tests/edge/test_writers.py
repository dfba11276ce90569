"""The exact text of each format."""

import csv
import io
import json

import pytest

from ser_edge.description import ModelDescription
from ser_edge.features import FeatureConfig
from ser_edge.recognizer import Prediction
from ser_edge.writers import WRITERS

DESCRIPTION = ModelDescription("small", ("calm", "surprised", "sad"), FeatureConfig())
CALM = Prediction("a.wav", 0.0, 1.31, "calm", 0.8123456, {"calm": 0.8123456, "surprised": 0.1000044, "sad": 0.08765})
SURPRISED = Prediction(
    'ü, "b".wav', 0.0, 3.0, "surprised", 0.999996, {"calm": 0.0, "surprised": 0.999996, "sad": 0.000004}
)


EXPECTED = {
    "text": (
        "calm        81%  ########..  then surprised  10%  a.wav\n"
        'surprised  100%  ##########  then sad         0%  ü, "b".wav\n'
    ),
    "json": (
        '{"path": "a.wav", "start": 0.0, "end": 1.31, "label": "calm", "confidence": 0.8123,'
        ' "probabilities": {"calm": 0.8123, "surprised": 0.1, "sad": 0.0877}}\n'
        '{"path": "\\u00fc, \\"b\\".wav", "start": 0.0, "end": 3.0, "label": "surprised", "confidence": 1.0,'
        ' "probabilities": {"calm": 0.0, "surprised": 1.0, "sad": 0.0}}\n'
    ),
    "csv": (
        "path,start,end,label,confidence,calm,surprised,sad\n"
        "a.wav,0.0,1.31,calm,0.8123,0.8123,0.1,0.0877\n"
        '"ü, ""b"".wav",0.0,3.0,surprised,1.0,0.0,1.0,0.0\n'
    ),
}


def written(form: str, *predictions: Prediction) -> str:
    out = io.StringIO()
    writer = WRITERS[form](out, DESCRIPTION)
    for prediction in predictions:
        writer.write(prediction)
    return out.getvalue()


@pytest.mark.parametrize("form", WRITERS)
def test_each_format_writes_exactly_this(form: str) -> None:
    assert written(form, CALM, SURPRISED) == EXPECTED[form]


def test_json_and_csv_are_read_back_by_ordinary_readers() -> None:
    (record,) = map(json.loads, written("json", SURPRISED).splitlines())
    (row,) = csv.DictReader(io.StringIO(written("csv", SURPRISED)))
    assert record["path"] == row["path"] == SURPRISED.path
    assert record["confidence"] == float(row["confidence"]) == 1.0


def test_without_predictions_only_csv_writes_its_header() -> None:
    assert written("text") == written("json") == ""
    assert written("csv") == "path,start,end,label,confidence,calm,surprised,sad\n"


def test_every_line_is_out_when_write_returns() -> None:
    class Buffered(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    for writer in WRITERS.values():
        out = Buffered()
        lines = writer(out, DESCRIPTION)
        lines.write(CALM)
        lines.write(SURPRISED)
        assert out.flushed == 2


def test_an_uncertain_answer_names_the_likeliest_emotions() -> None:
    unsure = Prediction("a.wav", 0.0, 1.0, "uncertain", 0.4, {"calm": 0.25, "surprised": 0.4, "sad": 0.35})
    assert written("text", unsure) == "uncertain   40%  ####......  surprised, then sad        35%  a.wav\n"
    assert json.loads(written("json", unsure))["label"] == "uncertain"
