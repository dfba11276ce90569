"""The table of exported files: a row for each combination, also for those that can't exist."""

import json
import shutil
from dataclasses import asdict, fields, replace
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread
from matplotlib.text import Text

from ser_export.cli.app import main
from ser_export.from_keras.run import Run, read_run
from ser_export.verification.report import ExportResult, draw_figure, markdown, write_report
from ser_export.verification.verify import PRECISIONS
from ser_train.runs.settings import Settings
from tests import messages

WRITTEN = ExportResult(
    *("gru", "onnx", "int8", "proven", "speaker", 276_480, 4.7e-3, 3, 605, 300),
    *(40.0, 39.9, 38.44, 38.4, 37.0, 36.9, 1.0, 1 / 59),
    runtimes=("ONNX Runtime",),
)
UNSUPPORTED = ExportResult("gru", "tflite", "int8-full", "the TFLite converter crashed (signal 11)")


def test_the_table_has_a_row_a_result_and_names_the_protocol() -> None:
    lines = markdown([WRITTEN, UNSUPPORTED]).splitlines()
    assert lines[2] == (
        "| `gru` | onnx | int8 | 270 | 4.7e-03 | 3 of 605 | 40.0 (39.9) | 38.4 (38.4) | 37.0 (36.9) | 1.00 | 1/59 "
        "| ONNX Runtime |"
    )
    assert lines[3] == "| `gru` | tflite | int8-full | - | the TFLite converter crashed (signal 11) | | | | | | | |"
    assert len({line.count("|") for line in lines[:4]}) == 1
    assert lines[-1] == "Accuracy by protocol `speaker`, 300 test utterances, 1 seed."


def test_without_the_float32_onnx_file_cpu_time_is_compared_with_keras_alone() -> None:
    alone = replace(WRITTEN, format="tflite", relative_cpu=None)
    assert " | 37.0 (36.9) |  | 1/59 | ONNX Runtime |" in markdown([alone])
    assert draw_figure([alone]).get_suptitle() == "Exported files"
    assert "float32 ONNX" in draw_figure([WRITTEN]).get_suptitle()


def test_scores_of_training_speakers_are_marked() -> None:
    last = markdown([replace(WRITTEN, protocol="")]).splitlines()[-1]
    assert last == "Accuracy of 300 utterances of the training set, so it says nothing about new speakers."


def test_a_report_is_json_markdown_and_a_plot(tmp_path: Path) -> None:
    write_report([WRITTEN, UNSUPPORTED], tmp_path / "new")
    rows = json.loads((tmp_path / "new" / "results.json").read_text())
    assert [set(row) for row in rows] == [{f.name for f in fields(ExportResult)}] * 2
    assert rows[1]["bytes"] is None
    assert (tmp_path / "new" / "results.md").read_text() == markdown([WRITTEN, UNSUPPORTED])
    assert imread(tmp_path / "new" / "results.png").std() > 0.01


def test_a_network_is_named_as_in_the_table_of_accuracies(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    settings = Settings(run.metadata.name, "speaker", changes=("units=8",), teachers=("whisper-gru",), init="small")
    (tmp_path / "run" / "run.json").write_text(json.dumps({"settings": asdict(settings)}))
    assert read_run(tmp_path / "run").label == settings.label


def test_a_file_is_named_after_its_run_however_that_is_given(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run.path)
    command = [".", "--format", "onnx", "--precision", "float32", "--out", str(tmp_path)]
    assert main(command) == 0
    assert (tmp_path / f"{run.path.name}.onnx").exists()


def measured() -> list[ExportResult]:
    """The results of the project's own plot."""
    rows = json.loads((Path(__file__).parents[2] / "export/results.json").read_text("utf-8"))
    return [ExportResult(**{**row, "runtimes": tuple(row["runtimes"])}) for row in rows]


SAME_SIZE = [replace(WRITTEN, precision=name, bytes=276_480 + 10 * place) for place, name in enumerate(PRECISIONS)]
EDGES = [replace(WRITTEN, bytes=1, uar=0.0), replace(WRITTEN, bytes=1 << 28, uar=100.0, relative_cpu=None)]


@pytest.mark.parametrize(
    "results",
    [measured(), SAME_SIZE, [*SAME_SIZE, *SAME_SIZE], EDGES, [WRITTEN], [UNSUPPORTED]],
    ids=["ours", "same-size", "twice", "edges", "one", "none"],
)
def test_no_texts_of_the_plot_overlap_or_leave_it(results: list[ExportResult]) -> None:
    figure = draw_figure(results)
    FigureCanvasAgg(figure).draw()  # computes the layout
    found = [*figure.texts, *figure.legends[0].get_texts()]
    for axes in figure.axes:
        found += [*axes.get_children(), *axes.get_yticklabels(), axes.xaxis.label]
    texts = [text for text in found if isinstance(text, Text) and text.get_text().strip()]
    boxes = {text: text.get_window_extent() for text in texts}
    over = [(a.get_text(), b.get_text()) for a, b in combinations(texts, 2) if boxes[a].overlaps(boxes[b])]
    assert over == []
    whole = figure.bbox
    assert [t.get_text() for t, box in boxes.items() if box.x0 < whole.x0 or box.x1 > whole.x1] == []
    made = [result for result in results if result.bytes is not None]
    assert sum("KiB" in text.get_text() and text.get_text() != "file, KiB" for text in texts) == len(made)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--format=tflite"], ["--format=onnx", "--precision=int8"]])
def test_no_other_file_stands_in_for_the_float32_onnx_one(arguments: list[str], run: Run, tmp_path: Path) -> None:
    assert main([str(run.path), *arguments, f"--out={tmp_path}", f"--report={tmp_path}"]) == 0
    (row,) = json.loads((tmp_path / "results.json").read_text())
    assert row["relative_cpu"] is None
    assert row["relative_cpu_keras"] < 1


@pytest.mark.slow
def test_the_command_reports_every_combination(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main([str(run.path), "--precision=all", "--format=onnx", f"--out={tmp_path}", f"--report={tmp_path}"])
    rows = {row["precision"]: row for row in json.loads((tmp_path / "results.json").read_text())}
    shown = capsys.readouterr()
    assert code == 0
    assert shown.out.endswith((tmp_path / "results.md").read_text())
    assert {(row["corpus"], row["labels"]) for row in rows.values()} == {("tones", 3)}
    assert rows["float32"]["runtimes"] == ["ONNX Runtime"]
    assert rows["float32"]["wa_keras"] == rows["float32"]["wa"]
    assert rows["float32"]["relative_cpu"] == 1
    assert rows["float32"]["relative_cpu_keras"] < 1
    assert rows["float32"]["operators"]["LSTM"] == 14  # of opset 17
    assert rows["int8"]["bytes"] < rows["float16"]["bytes"] < rows["float32"]["bytes"]
    assert rows["int8-full"]["status"] == "ONNX Runtime has no integer kernels for RNN, LSTM and GRU"
    assert messages.codes_in(shown.err) == ["export-unsupported-precision"] * 2
