"""The exact text of each format."""

import csv
import io
import itertools
import json
import re
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_edge import merge
from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import ModelMetadata
from ser_edge.output.writers import WRITERS, MergingSink
from ser_edge.recognition.prediction import NO_SPEECH, UNCERTAIN, Prediction

DESCRIPTION = ModelMetadata("small", ("calm", "surprised", "sad"), FeatureConfig())
CALM = Prediction("a.wav", 0.0, 1.31, "calm", 0.8123456, {"calm": 0.8123456, "surprised": 0.1000044, "sad": 0.08765})
SURPRISED = Prediction(
    'ü, "b".wav', 0.0, 3.0, "surprised", 0.999996, {"calm": 0.0, "surprised": 0.999996, "sad": 0.000004}
)
SILENT = Prediction("c.wav", 0.0, 2.0, NO_SPEECH, 0.0, {"calm": 0.0, "surprised": 0.0, "sad": 0.0}, 0.0)

FILES = {
    "text": (
        "calm        81 %  ########..  then surprised  10 %  a.wav\n"
        'surprised  100 %  ##########  then sad         0 %  ü, "b".wav\n'
        "no-speech                                           c.wav\n"
    ),
    "json": (
        '{"path": "a.wav", "start": 0.0, "end": 1.31, "label": "calm", "confidence": 0.8123,'
        ' "probabilities": {"calm": 0.8123, "surprised": 0.1, "sad": 0.0877}, "speech": null}\n'
        '{"path": "\\u00fc, \\"b\\".wav", "start": 0.0, "end": 3.0, "label": "surprised", "confidence": 1.0,'
        ' "probabilities": {"calm": 0.0, "surprised": 1.0, "sad": 0.0}, "speech": null}\n'
        '{"path": "c.wav", "start": 0.0, "end": 2.0, "label": "no-speech", "confidence": 0.0,'
        ' "probabilities": {"calm": 0.0, "surprised": 0.0, "sad": 0.0}, "speech": 0.0}\n'
    ),
    "csv": (
        "path,start,end,label,confidence,speech,calm,surprised,sad\n"
        "a.wav,0.0,1.31,calm,0.8123,,0.8123,0.1,0.0877\n"
        '"ü, ""b"".wav",0.0,3.0,surprised,1.0,,0.0,1.0,0.0\n'
        "c.wav,0.0,2.0,no-speech,0.0,0.0,0.0,0.0,0.0\n"
    ),
}


def window(start: float, end: float, label: str, confidence: float = 0.8, path: str | None = "a.wav") -> Prediction:
    """A prediction with `confidence` for `label`, or for sad where that is no emotion; the rest is shared."""
    best = label if label in DESCRIPTION.labels else "sad"
    probabilities = dict.fromkeys(DESCRIPTION.labels, (1 - confidence) / 2) | {best: confidence}
    if label == NO_SPEECH:
        return Prediction(path, start, end, label, 0.0, dict.fromkeys(DESCRIPTION.labels, 0.0), 0.04321)
    return Prediction(path, start, end, label, confidence, probabilities, 0.87654)


TIMELINE = [
    window(0.0, 3.0, "calm", 0.9),
    window(0.5, 3.5, "calm", 0.7),
    window(1.0, 4.0, UNCERTAIN, 0.4),
    window(1.5, 4.5, NO_SPEECH),
    window(2.0, 5.0, "surprised", 0.876),
    window(3596.96, 3599.96, "surprised", 0.5),
]
WINDOWS = {
    "text": (
        "00:00.0-00:03.0  calm        90 %  #########.  then surprised   5 %  a.wav\n"
        "00:00.5-00:03.5  calm        70 %  #######...  then surprised  15 %  a.wav\n"
        "00:01.0-00:04.0  uncertain   40 %  ####......  like sad        40 %  a.wav\n"
        "00:01.5-00:04.5  no-speech                                           a.wav\n"
        "00:02.0-00:05.0  surprised   88 %  #########.  then calm        6 %  a.wav\n"
        "59:57.0-60:00.0  surprised   50 %  #####.....  then calm       25 %  a.wav\n"
    ),
    "json": (
        '{"path": "a.wav", "start": 0.0, "end": 3.0, "label": "calm", "confidence": 0.9,'
        ' "probabilities": {"calm": 0.9, "surprised": 0.05, "sad": 0.05}, "speech": 0.8765}\n'
        '{"path": "a.wav", "start": 0.5, "end": 3.5, "label": "calm", "confidence": 0.7,'
        ' "probabilities": {"calm": 0.7, "surprised": 0.15, "sad": 0.15}, "speech": 0.8765}\n'
        '{"path": "a.wav", "start": 1.0, "end": 4.0, "label": "uncertain", "confidence": 0.4,'
        ' "probabilities": {"calm": 0.3, "surprised": 0.3, "sad": 0.4}, "speech": 0.8765}\n'
        '{"path": "a.wav", "start": 1.5, "end": 4.5, "label": "no-speech", "confidence": 0.0,'
        ' "probabilities": {"calm": 0.0, "surprised": 0.0, "sad": 0.0}, "speech": 0.0432}\n'
        '{"path": "a.wav", "start": 2.0, "end": 5.0, "label": "surprised", "confidence": 0.876,'
        ' "probabilities": {"calm": 0.062, "surprised": 0.876, "sad": 0.062}, "speech": 0.8765}\n'
        '{"path": "a.wav", "start": 3596.96, "end": 3599.96, "label": "surprised", "confidence": 0.5,'
        ' "probabilities": {"calm": 0.25, "surprised": 0.5, "sad": 0.25}, "speech": 0.8765}\n'
    ),
    "csv": (
        "path,start,end,label,confidence,speech,calm,surprised,sad\n"
        "a.wav,0.0,3.0,calm,0.9,0.8765,0.9,0.05,0.05\n"
        "a.wav,0.5,3.5,calm,0.7,0.8765,0.7,0.15,0.15\n"
        "a.wav,1.0,4.0,uncertain,0.4,0.8765,0.3,0.3,0.4\n"
        "a.wav,1.5,4.5,no-speech,0.0,0.0432,0.0,0.0,0.0\n"
        "a.wav,2.0,5.0,surprised,0.876,0.8765,0.062,0.876,0.062\n"
        "a.wav,3596.96,3599.96,surprised,0.5,0.8765,0.25,0.5,0.25\n"
    ),
    "srt": (
        "1\n00:00:00,000 --> 00:00:03,500\ncalm 80 %\n\n"
        "2\n00:00:03,500 --> 00:00:04,000\nuncertain\n\n"
        "3\n00:00:04,500 --> 00:00:05,000\nsurprised 88 %\n\n"
        "4\n00:59:56,960 --> 00:59:59,960\nsurprised 50 %\n\n"
    ),
    "vtt": (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:03.500\ncalm 80 %\n\n"
        "00:00:03.500 --> 00:00:04.000\nuncertain\n\n"
        "00:00:04.500 --> 00:00:05.000\nsurprised 88 %\n\n"
        "00:59:56.960 --> 00:59:59.960\nsurprised 50 %\n\n"
    ),
    "audacity": (
        "0.000\t3.500\tcalm\n3.500\t4.000\tuncertain\n4.500\t5.000\tsurprised\n3596.960\t3599.960\tsurprised\n"
    ),
}


def written(form: str, *predictions: Prediction, windows: bool = False) -> str:
    out = io.StringIO()
    writer = WRITERS[form](out, DESCRIPTION, windows)
    for prediction in predictions:
        writer.write(prediction)
    writer.close()
    assert not out.closed
    return out.getvalue()


@pytest.mark.parametrize("form", FILES)
def test_formats_of_files(form: str) -> None:
    assert written(form, CALM, SURPRISED, SILENT) == FILES[form]


@pytest.mark.parametrize("form", WRITERS)
def test_formats_of_windows(form: str) -> None:
    assert written(form, *TIMELINE, windows=True) == WINDOWS[form]


def test_a_whole_file_is_one_subtitle() -> None:
    assert written("srt", CALM) == "1\n00:00:00,000 --> 00:00:01,310\ncalm 81 %\n\n"


def test_text_without_a_path() -> None:
    text = written("text", window(0, 3, "calm", path=None), window(0.5, 3.5, NO_SPEECH, path=None), windows=True)
    assert text == (
        "00:00.0-00:03.0  calm        80 %  ########..  then surprised  10 %\n"  # no spaces behind
        "00:00.5-00:03.5  no-speech\n"
    )


def test_json_and_csv_are_read_by_standard_readers() -> None:
    (record,) = map(json.loads, written("json", SURPRISED).splitlines())
    (row,) = csv.DictReader(io.StringIO(written("csv", SURPRISED)))
    assert record["path"] == row["path"] == SURPRISED.path
    assert record["confidence"] == float(row["confidence"]) == 1.0
    assert record["speech"] is None
    assert row["speech"] == ""


@pytest.mark.parametrize("path", ["a\rb.wav", "a\nb.wav", "a\r\nb.wav", '"a", b.wav', "a\u2028b.wav", " a.wav"])
def test_any_path_is_one_cell_of_a_table(path: str) -> None:
    text = written("csv", replace(CALM, path=path))
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["path"], row["end"]) == (path, "1.31")
    assert pd.read_csv(io.StringIO(text, newline="")).to_dict("list")["path"] == [path]


def test_a_table_that_may_get_live_sound_has_its_column_from_the_beginning() -> None:
    out = io.StringIO()
    writer = WRITERS["csv"](out, DESCRIPTION, windows=True, live=True)
    for prediction in (SURPRISED, replace(SURPRISED, time="2026-11-29T12:00:00.000+01:00")):
        writer.write(prediction)
    file, live = csv.DictReader(io.StringIO(out.getvalue()))
    assert (file["time"], live["time"]) == ("", "2026-11-29T12:00:00.000+01:00")


def test_live_sound_has_its_time_behind_the_other_fields() -> None:
    live = [replace(p, time=f"2026-11-29T12:00:0{n}.000+01:00") for n, p in enumerate(TIMELINE)]
    for line, plain, p in zip(written("json", *live).splitlines(), WINDOWS["json"].splitlines(), live, strict=True):
        assert line == f'{plain.removesuffix("}")}, "time": "{p.time}"}}'
    header, *rows = written("csv", *live).splitlines()
    plain_header, *plain_rows = WINDOWS["csv"].splitlines()
    assert header == f"{plain_header},time"
    assert rows == [f"{plain},{p.time}" for plain, p in zip(plain_rows, live, strict=True)]
    assert written("text", *live, windows=True) == WINDOWS["text"]


def test_a_label_of_the_web_has_no_markup() -> None:
    tagged = Prediction("a.wav", 0.0, 1.0, "<b>&", 0.5, {"<b>&": 0.5, "sad": 0.5})
    assert written("vtt", tagged).endswith("\n&lt;b&gt;&amp; 50 %\n\n")
    assert written("vtt", replace(tagged, label="sad --> calm")).count("-->") == 1  # that of the times


def test_a_label_track_has_one_label_however_long_an_emotion_lasts() -> None:
    assert written("audacity", *(window(hop / 2, 3 + hop / 2, "sad") for hop in range(200))) == "0.000\t102.500\tsad\n"


@pytest.mark.parametrize("form", WRITERS)
def test_merged_windows_are_written_as_one(form: str) -> None:
    out = Buffered()
    sink = MergingSink(WRITERS[form](out, DESCRIPTION, windows=True))
    for prediction in TIMELINE:
        sink.write(prediction)
    assert out.flushed.count("calm") >= 1  # as soon as another label follows
    sink.close()
    assert out.getvalue() == written(form, *merge(TIMELINE), windows=True)


def test_without_predictions_only_headers_are_written() -> None:
    assert written("text") == written("json") == written("srt") == written("audacity") == ""
    assert written("vtt") == "WEBVTT\n\n"
    assert written("csv") == "path,start,end,label,confidence,speech,calm,surprised,sad\n"


@pytest.mark.parametrize("form", ["text", "json", "csv"])
def test_write_flushes_every_line(form: str) -> None:
    out = Buffered()
    lines = WRITERS[form](out, DESCRIPTION, windows=True)
    for count, prediction in enumerate(TIMELINE, start=1 + (form == "csv")):
        lines.write(prediction)
        assert out.flushed.count("\n") == count
    lines.close()
    assert out.flushed == out.getvalue()


def test_a_cue_is_written_when_the_label_changes_or_speech_ends_or_at_the_end() -> None:
    out = Buffered()
    writer = WRITERS["srt"](out, DESCRIPTION, windows=True)
    shown = []
    for prediction in TIMELINE:
        writer.write(prediction)
        shown.append(out.flushed.count("-->"))
    assert shown == [0, 0, 1, 2, 2, 3]
    writer.close()
    writer.close()
    assert out.flushed.count("-->") == 4


def test_cues_of_a_lasting_emotion_are_five_seconds_long() -> None:
    steady = [window(3595 + hop / 2, 3598 + hop / 2, "sad") for hop in range(20)]
    assert re.findall(".* --> .*", written("srt", *steady, windows=True)) == [
        "00:59:55,000 --> 01:00:00,000",
        "01:00:00,000 --> 01:00:05,000",
        "01:00:05,000 --> 01:00:07,500",
    ]


LABELS = st.sampled_from([*DESCRIPTION.labels, UNCERTAIN, NO_SPEECH])
STREAMS = st.lists(st.tuples(st.floats(0, 20), st.floats(0.01, 12), LABELS, st.floats(0.34, 1)), max_size=30)
CUE = re.compile(
    r"(\d+)\n(\d\d):([0-5]\d):([0-5]\d),(\d{3}) --> (\d\d):([0-5]\d):([0-5]\d),(\d{3})\n"
    r"(?:(?:calm|surprised|sad) \d{1,3} %|uncertain)\n\n"
)


@settings(deadline=None)
@given(STREAMS)
def test_subtitles_are_numbered_in_order_and_never_overlap(
    stream: list[tuple[float, float, str, float]],
) -> None:
    ends = itertools.accumulate(hop for hop, *_ in stream)
    windows = [
        window(max(0.0, end - length), end, label, confidence)
        for end, (_, length, label, confidence) in zip(ends, stream, strict=True)
    ]
    text = written("srt", *windows, windows=True)
    assert CUE.sub("", text) == ""
    times = []
    for count, (number, *figures) in enumerate(CUE.findall(text), start=1):
        assert int(number) == count
        for hours, minutes, seconds, ms in (figures[:4], figures[4:]):
            times.append(((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(ms))
    assert times == sorted(times)
    longest = 12_000  # of a single window
    assert all(0 < end - begin <= longest for begin, end in zip(times[::2], times[1::2], strict=True))


def test_an_uncertain_prediction_names_the_likeliest_emotion() -> None:
    unsure = Prediction("a.wav", 0.0, 1.0, "uncertain", 0.4, {"calm": 0.25, "surprised": 0.4, "sad": 0.35})
    assert written("text", unsure) == "uncertain   40 %  ####......  like surprised  40 %  a.wav\n"
    assert json.loads(written("json", unsure))["label"] == "uncertain"


@pytest.mark.parametrize("figure", range(35, 101, 5))
def test_equal_figures_have_equal_bars(figure: int) -> None:
    edges = (figure - 0.49) / 100, figure / 100, min(1.0, (figure + 0.49) / 100)
    lines = {written("text", window(0, 3, "calm", share)).partition("  then")[0] for share in edges}
    assert len(lines) == 1
    assert f" {figure} %  {'#' * int(figure / 10 + 0.5):.<10}" in lines.pop()


class Buffered(io.StringIO):
    """Knows what was flushed."""

    flushed = ""

    def flush(self) -> None:
        self.flushed = self.getvalue()
