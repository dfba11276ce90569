"""The report of some runs: whole in one file, true to the figures, and without what wasn't measured."""

import base64
import json
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from ser_train.cli.app import main, parse
from ser_train.cli.report import TABLES
from ser_train.data.corpus_loader import CorpusError
from ser_train.data.splits import PROTOCOLS
from ser_train.evaluation.metrics import pooled
from ser_train.reporting.html.page import PROTOCOL_MEANINGS, read_table
from ser_train.reporting.statistics import gather
from ser_train.runs.run_directory import RunDirectory
from ser_train.runs.settings import Settings
from tests import messages
from tests.train.reporting.fake_runs import make_run

RAVDESS = {"corpus": "RAVDESS speech", "labels": 8}
FIGURE = {"mean": 40.0, "std": 0.0, "low": 38.0, "high": 42.0}
SCORES = dict.fromkeys(("wa", "uar", "f1", "ece"), FIGURE)
RESULT = {"bytes": 2048, "parameters": 1, "folds": 5, "seeds": 2} | RAVDESS | SCORES
PROVEN = {
    "network": "gru", "format": "onnx", "precision": "int8", "status": "proven", "bytes": 4096, "inputs": 605,
    "max_difference": 0.004, "labels_changed": 3, "utterances": 300, "uar": 38.4, "uar_keras": 38.5,
    "relative_cpu": 0.5, "relative_cpu_keras": 0.02, **RAVDESS,
}  # fmt: skip


class Reader(HTMLParser):
    """The tags, headings and cells of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.words: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data.strip())
            if self.tags[-1][0] == "h2":
                self.headings.append(data)

    def pictures(self) -> list[bytes]:
        sources = [attributes["src"] or "" for tag, attributes in self.tags if tag == "img"]
        assert all(source.startswith("data:image/png;base64,") for source in sources)
        return [base64.b64decode(source.partition(",")[2]) for source in sources]


@pytest.fixture(scope="module")
def folder(ten_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of ten runs, with all there can be on it."""
    folder = tmp_path_factory.mktemp("page")
    rows = [
        {"network": "gru", "protocol": "speaker", "format": "keras", "precision": "float32"} | RESULT,
        {"network": "gru", "protocol": "speaker", "format": "onnx", "precision": "float32"} | RESULT,
        {"network": "<img src=x>", "protocol": "notebook", "format": "keras", "precision": "float32"} | RESULT,
    ]
    (folder / "results.json").write_text(json.dumps(rows), "utf-8")
    missing = PROVEN | {"format": "tflite", "bytes": None, "status": "no <kernels>"}
    (folder / "exported.json").write_text(json.dumps([PROVEN, missing]), "utf-8")
    speed = {"rows": [{"what": "`ser-edge file`, memory", "theirs": "803 MiB", "ours": "71 MiB", "ratio": 11.3}]}
    (folder / "benchmarks.json").write_text(json.dumps(speed), "utf-8")
    tables = [word for name in ("results", "exported", "benchmarks") for word in (f"--{name}", f"{folder}/{name}.json")]
    command = ["report", *map(str, ten_runs.iterdir()), *tables, "--out", str(folder / "new" / "gru.html")]
    assert main(command) == 0
    return folder / "new"


@pytest.mark.parametrize("kind", TABLES)
def test_the_projects_tables_can_be_shown(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    assert read_table(kind, None, TABLES[kind])


def test_the_page_needs_nothing_but_itself(folder: Path) -> None:
    page = folder / "gru.html"
    reader = Reader(page)
    assert not {tag for tag, _ in reader.tags} & {"script", "link", "iframe", "object", "video", "audio", "source"}
    for tag, attributes in reader.tags:
        for name, value in attributes.items():
            if name in ("src", "href", "srcset", "action", "poster"):
                assert (value or "").startswith(("data:image/png;base64,", "#")), (tag, name)
    text = page.read_text("utf-8")
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    links = {attributes["href"] for tag, attributes in reader.tags if tag == "a"}
    assert links == {f"#{attributes['id']}" for tag, attributes in reader.tags if tag == "section"}


def test_all_sections_are_there_when_all_was_measured(folder: Path) -> None:
    assert Reader(folder / "gru.html").headings == [
        "All networks",
        "Emotions",
        "Mistakes",
        "Speakers",
        "Confidence",
        "Robustness",
        "Training",
        "Size and speed",
        "Origin",
    ]


def test_a_table_that_is_wider_than_a_phone_scrolls_by_itself(folder: Path) -> None:
    tags = [(tag, attributes.get("class")) for tag, attributes in Reader(folder / "gru.html").tags]
    tables = [place for place, (tag, _) in enumerate(tags) if tag == "table"]
    assert len(tables) >= 7
    assert {tags[place - 1] for place in tables} == {("div", "wide")}
    text = (folder / "gru.html").read_text("utf-8")
    assert ".wide { overflow-x: auto;" in text
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text


def test_the_title_names_network_and_protocol(tmp_path: Path) -> None:
    run = make_run(tmp_path, Settings("crnn", "speaker", init="crnn"))
    assert main(["report", str(run.path), "--out", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "<title>crnn, tuned (protocol: speaker)</title>" in text
    assert "<h1>crnn, tuned <small>protocol: speaker</small></h1>" in text
    assert "by speaker" not in text


@pytest.mark.slow
def test_the_list_of_mistakes_is_bounded_and_left_out_where_there_are_none(tmp_path: Path) -> None:
    def page(wrong: int) -> Reader:
        run = make_run(tmp_path / str(wrong), Settings("gru", "speaker"), wrong=wrong)
        assert main(["report", str(run.path), "--out", str(tmp_path / "page.html")]) == 0
        return Reader(tmp_path / "page.html")

    assert "Mistakes" not in page(0).headings
    many = page(75)
    assert "75 of 75 recordings are classified wrongly; these 50 with the most confidence." in many.words
    assert sum(word.startswith("03-01-") for word in many.words) == 50
    few = page(2)
    assert "2 of 75 recordings are classified wrongly, the most confident first." in few.words
    assert sum(word.startswith("03-01-") for word in few.words) == 2


def test_the_plots_are_beside_the_page_as_well(folder: Path) -> None:
    names = ("confusion", "actors", "reliability", "coverage", "curves")
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["gru.html", *(f"gru-{name}.png" for name in names)]
    )
    assert Reader(folder / "gru.html").pictures() == [(folder / f"gru-{name}.png").read_bytes() for name in names]
    for name in names:
        picture = matplotlib.image.imread(folder / f"gru-{name}.png")
        frame = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (frame == 1).all()  # nothing is cut off at an edge
        assert picture[..., :3].std() > 0.05


def test_names_from_files_are_no_markup(folder: Path) -> None:
    text = (folder / "gru.html").read_text("utf-8")
    assert "&lt;img src=x&gt;" in text
    assert "<img src=x>" not in text
    assert "no &lt;kernels&gt;" in text


def test_the_headline_pools_the_runs(folder: Path, ten_runs: Path) -> None:
    runs = [RunDirectory(path) for path in ten_runs.iterdir()]
    answers = [[run.answers for run in runs if run.settings.seed == seed] for seed in (0, 7)]
    assert [len(folds) for folds in answers] == [5, 5]
    expected = pooled(answers)
    headline = gather(runs).headline
    assert {name: (f.mean, f.std) for name, f in headline.items()} == {
        name: (f.mean, f.std) for name, f in expected.items()
    }
    assert headline["wa"].mean == round(100 * (345 + 360) / 720, 4)  # 15 of the 24 actors' 360 are wrong, in seed 0
    words = Reader(folder / "gru.html").words
    for figure in headline.values():
        if figure.mean > 1:
            assert f"{figure.mean:.1f} ± {figure.std:.1f}" in words


def test_a_bare_run_has_a_page_without_what_was_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # where no tables are
    run = make_run(tmp_path, Settings("a&b", "utterance"))
    assert main(["report", str(run.path)]) == 0
    assert capsys.readouterr().out == "a&b-utterance-seed0.html\n"
    reader = Reader(tmp_path / "a&b-utterance-seed0.html")
    assert reader.headings == ["Emotions", "Speakers", "Confidence", "Origin"]
    assert "a&b" in reader.words
    assert not any("±" in word for word in reader.words)  # one seed has no spread


@pytest.mark.parametrize(
    ("data", "kept"),
    [("RAVDESS speech, CC BY-NC-SA 4.0", True), ("own recordings, on their owner's terms; RAVDESS speech, x", False)],
)
def test_figures_of_other_corpora_are_left_out(
    data: str, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a checkout, where the project's own tables are."""
    monkeypatch.chdir(Path(__file__).parents[3])
    run = make_run(tmp_path, Settings("gru", "speaker"), training={"data": data})
    assert main(["report", str(run.path), "--out", str(tmp_path / "page.html")]) == 0
    reader = Reader(tmp_path / "page.html")
    assert ("All networks" in reader.headings) == kept
    assert ("tflite int8" in reader.words) == kept
    assert any(word.startswith("Verified against Keras") for word in reader.words) == kept


def test_figures_of_other_labels_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    row = {"network": "gru", "protocol": "speaker", "format": "keras", "precision": "float32"} | RESULT
    (tmp_path / "results.json").write_text(json.dumps([row, row | {"network": "lstm", "labels": 4}]), "utf-8")
    run = make_run(tmp_path, Settings("gru", "speaker"), training={"data": "RAVDESS speech, x"})
    assert main(["report", str(run.path), "--results", "results.json", "--out", "page.html"]) == 0
    words = Reader(tmp_path / "page.html").words
    assert "All networks" in words
    assert "lstm" not in words


def test_the_command_prints_an_error_and_exits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 1
    assert messages.codes_in(capsys.readouterr().err) == ["run-not-found"]


@pytest.mark.parametrize("text", [None, "nothing", '{"rows": 1}', '[{"network": "gru"}]'])
def test_a_table_that_was_asked_for_must_be_one(text: str | None, tmp_path: Path) -> None:
    run = make_run(tmp_path, Settings("gru", "speaker"))
    table = tmp_path / "results.json"
    if text is not None:
        table.write_text(text, "utf-8")
    options = parse(["report", str(run.path), "--results", str(table), "--out", str(tmp_path / "page.html")])
    with messages.raises(CorpusError, "report-table"):
        options.run(options)


@pytest.mark.parametrize("text", ["nothing", '{"rows": 1}', '{"accuracy": 0.9}', '[{"network": "gru"}]'])
def test_a_file_of_somebody_else_where_a_table_could_be_is_left_out(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path, Settings("gru", "speaker"))
    (tmp_path / "train").mkdir()
    (tmp_path / TABLES["results"]).write_text(text, "utf-8")
    assert main(["report", str(run.path), "--out", "page.html"]) == 0
    assert "All networks" not in Reader(tmp_path / "page.html").headings
    (note,) = [record.message for record in caplog.records]
    assert note.startswith(f"{TABLES['results']}: ")


def test_the_page_explains_every_protocol() -> None:
    assert list(PROTOCOL_MEANINGS) == list(PROTOCOLS)
