"""The page of some runs: whole in one file, true to the figures, and without what nobody measured."""

import base64
import json
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

import ser_train.evaluation.metrics
from ser_edge.errors import SerEdgeError
from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import ModelMetadata
from ser_train.cli.app import main
from ser_train.cli.args import parse_report
from ser_train.data.corpus_loader import EMOTIONS, CorpusError
from ser_train.data.splits import PROTOCOLS, SPEAKER_FOLDS
from ser_train.evaluation.corruptions import CORRUPTIONS, WINDOW_SECONDS
from ser_train.evaluation.metrics import pooled
from ser_train.evaluation.misclassified import mistakes
from ser_train.evaluation.robustness import RobustnessAnswers, pool
from ser_train.reporting.html.page import _BENCHMARKS, _EXPORTED, _RESULTS, _rows, report
from ser_train.reporting.html.sections import PROTOCOL_MEANINGS
from ser_train.reporting.model_card import card, include_model_cards
from ser_train.reporting.statistics import gather
from ser_train.runs.run_directory import Answers, RunDirectory
from ser_train.runs.settings import Settings

FIGURE = {"mean": 40.0, "std": 0.0, "low": 38.0, "high": 42.0}
RESULT = {"bytes": 2048, "parameters": 1, "folds": 5, "seeds": 2} | dict.fromkeys(("wa", "uar", "f1", "ece"), FIGURE)
PROVEN = {
    "network": "gru", "format": "onnx", "precision": "int8", "status": "proven", "bytes": 4096, "inputs": 605,
    "max_difference": 0.004, "labels_changed": 3, "utterances": 300, "uar": 38.4, "uar_keras": 38.5,
    "relative_cpu": 0.5, "relative_cpu_keras": 0.02,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ser_train.evaluation.metrics, "_BOOTSTRAPS", 20)
        yield


def make_run(folder: Path, settings: Settings, *, wrong: int = 0, sure: float = 0.9, **described: Any) -> RunDirectory:
    """A finished run: RAVDESS's emotions once by each actor and intensity; the first so many answers are wrong."""
    run = RunDirectory(folder / settings.name)
    run.path.mkdir(parents=True)
    spoken = [
        (emotion, intensity, actor)
        for actor in SPEAKER_FOLDS[settings.fold]
        for emotion in range(8)
        for intensity in ((1, 2) if emotion else (1,))
    ]
    labels = np.array([emotion for emotion, _, _ in spoken])
    guesses = np.where(np.arange(len(labels)) < wrong, (labels + 1) % 8, labels)
    probabilities = np.full((len(labels), 8), (1 - sure) / 7, np.float32)
    probabilities[np.arange(len(labels)), guesses] = sure
    run.write_answers(
        Answers(
            np.zeros((len(labels), 2, 3), np.float32),
            labels,
            np.array(
                [f"03-01-{emotion + 1:02}-{intensity:02}-01-01-{actor:02}" for emotion, intensity, actor in spoken]
            ),
            np.array([actor for _, _, actor in spoken]),
            probabilities,
            np.ones(len(labels), bool),
        )
    )
    metadata = ModelMetadata(settings.network, EMOTIONS, FeatureConfig(), **described)
    run.write("description.json", metadata.to_json())
    run.write("run.json", {"settings": asdict(settings)})
    return run


def add_the_rest(run: RunDirectory) -> None:
    """What a run of today has as well."""
    run.write(
        "run.json", run.read("run.json") | {"epochs": 2, "best_epoch": 1, "parameters": 1234, "recipe": {"units": 80}}
    )
    run.write("history.json", [{"loss": 1.0, "accuracy": 0.5, "val_loss": 1.5, "val_accuracy": 0.4}] * 2)
    answers = run.answers
    count = len(answers.labels)
    heard = RobustnessAnswers(
        answers.names,
        answers.labels,
        np.stack([answers.probabilities] * len(CORRUPTIONS)),
        np.concatenate([answers.probabilities] * len(WINDOW_SECONDS)),
        np.repeat(WINDOW_SECONDS, count),
        np.tile(np.arange(count), len(WINDOW_SECONDS)),
    )
    np.savez(run.path / "conditions.npz", **asdict(heard))
    run.write("conditions.json", asdict(pool([[heard]])))


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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of ten runs, with all there can be on it."""
    folder = tmp_path_factory.mktemp("page")
    for seed in (0, 7):
        for fold in range(5):
            settings = Settings("gru", "speaker", fold, seed)
            add_the_rest(make_run(folder / "runs", settings, wrong=15 * (fold == seed), temperature=2.0, threshold=0.5))
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
    assert (
        report(
            parse_report([*map(str, (folder / "runs").iterdir()), *tables, "--out", str(folder / "new" / "gru.html")])
        )
        == 0
    )
    return folder / "new"


@pytest.mark.parametrize("table", [_RESULTS, _EXPORTED, _BENCHMARKS])
def test_what_the_project_measured_can_be_shown(
    table: tuple[str, tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    assert _rows(None, *table)


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
        "Voices",
        "Confidence",
        "Real conditions",
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


def test_the_title_says_what_is_a_network_and_what_a_protocol(tmp_path: Path) -> None:
    run = make_run(tmp_path, Settings("crnn", "speaker", init="crnn"))
    assert report(parse_report([str(run.path), "--out", str(tmp_path / "page.html")])) == 0
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "<title>crnn, tuned (protocol: speaker)</title>" in text
    assert "<h1>crnn, tuned <small>protocol: speaker</small></h1>" in text
    assert "by speaker" not in text


def test_misclassified_recordings_are_listed_the_surest_first(tmp_path: Path) -> None:
    found = gather([make_run(tmp_path, Settings("gru", "speaker", 0, seed), wrong=3 + 2 * seed) for seed in (0, 1)])
    listed = mistakes(found.answers, found.labels)
    assert [(m.label, m.predicted, m.wrong, m.answers) for m in listed] == [
        *[("neutral", "calm", 2, 2)], *[("calm", "happy", 2, 2)] * 2, ("happy", "sad", 1, 2), ("happy", "sad", 1, 2)
    ]  # fmt: skip
    assert len({m.name for m in listed}) == 5
    answers = replace(found.answers[0], probabilities=found.answers[0].probabilities.copy())
    answers.probabilities[2] = np.eye(8)[5]
    first, *rest = mistakes([answers], found.labels)
    assert (first.name, first.predicted, first.confidence) == (answers.names[2], "fearful", 1.0)
    assert len(rest) == 2


def test_the_list_of_mistakes_is_bounded_and_left_out_where_there_are_none(tmp_path: Path) -> None:
    def page(wrong: int) -> Reader:
        run = make_run(tmp_path / str(wrong), Settings("gru", "speaker"), wrong=wrong)
        assert report(parse_report([str(run.path), "--out", str(tmp_path / "page.html")])) == 0
        return Reader(tmp_path / "page.html")

    assert "Mistakes" not in page(0).headings
    many = page(75)
    assert "75 of 75 recordings are classified wrongly; these 50 with the most confidence." in many.words
    assert sum(word.startswith("03-01-") for word in many.words) == 50
    few = page(2)
    assert "2 of 75 recordings are classified wrongly, the surest first." in few.words
    assert sum(word.startswith("03-01-") for word in few.words) == 2


def test_the_pictures_lie_beside_the_page_as_well(folder: Path) -> None:
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


def test_the_headline_is_what_scores_makes_of_the_runs(folder: Path) -> None:
    runs = [RunDirectory(path) for path in (folder.parent / "runs").iterdir()]
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


def test_groups_are_compared_by_the_emotions_that_all_speak(tmp_path: Path) -> None:
    summary = gather([make_run(tmp_path, Settings("gru", "speaker"), wrong=1)])  # actor 2 speaks neutral first
    assert [(g.name, g.support, round(g.uar.mean, 2)) for g in summary.sexes] == [
        ("female", 45, 95.83),  # of three women's neutral one is wrong
        ("male", 30, 100.0),
    ]
    assert [(g.name, g.support, round(g.wa.mean, 2), g.uar.mean) for g in summary.intensities] == [
        ("normal", 40, 97.5, 100.0),
        ("strong", 35, 100.0, 100.0),
    ]
    neutral = summary.emotions[0]
    assert (neutral.support, neutral.recall.mean, neutral.top_confusion, neutral.share) == (5, 80, "calm", 20)


def test_a_threshold_is_judged_on_what_a_user_sees(tmp_path: Path) -> None:
    sure = make_run(tmp_path, Settings("gru", "speaker", 0), sure=0.9, temperature=3.0, threshold=0.4)
    unsure = make_run(tmp_path, Settings("gru", "speaker", 4), sure=0.9, wrong=15, temperature=1.0, threshold=0.4)
    summary = gather([sure, unsure])
    assert summary.is_calibrated
    assert summary.pooled_calibrated_answers.probabilities.max() == pytest.approx(0.9)  # fold 4's: served as it is
    odds = 63 ** (1 / 3)  # of the answer against another; 0.9 to 0.1 / 7 before
    assert summary.calibrated_answers[0].probabilities[0].max() == pytest.approx(odds / (odds + 7))
    assert summary.at_threshold == pytest.approx((100 * 60 / 135, 100 * 45 / 60))
    assert replace(summary, seeds=((summary.seeds[0][0],),)).at_threshold == (0, 0)


def test_a_bare_run_has_a_page_without_what_nobody_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # where no tables are
    run = make_run(tmp_path, Settings("a&b", "utterance"))
    assert report(parse_report([str(run.path)])) == 0
    assert capsys.readouterr().out == "a&b-utterance-seed0.html\n"
    reader = Reader(tmp_path / "a&b-utterance-seed0.html")
    assert reader.headings == ["Emotions", "Voices", "Confidence", "Origin"]
    assert "a&b" in reader.words
    assert not any("±" in word for word in reader.words)  # one seed has no spread


def test_conditions_stand_only_where_every_run_was_measured(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, Settings("gru", "speaker", fold)) for fold in (0, 1)]
    add_the_rest(runs[0])
    assert gather(runs).conditions is None
    add_the_rest(runs[1])
    figures = gather(runs).conditions
    assert figures is not None
    assert figures.utterances == 150
    assert gather(runs).counts == "folds 0, 1 of 5, 1 seed"
    add = runs[1].read("conditions.json")
    add["conditions"][0]["name"] = "under water"
    runs[1].write("conditions.json", add)
    with pytest.raises(CorpusError, match="other conditions than today's; run ser-train conditions again"):
        gather(runs)


def lose_an_array(run: RunDirectory) -> None:
    with zipfile.ZipFile(run.path / "answers.npz", "w"):
        pass


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run.path / "run.json").unlink(), "not a finished run; train it with ser-train"),
        (lambda run: run.write("run.json", "{"), r"a damaged run \(JSONDecodeError"),
        (lambda run: run.write("run.json", {}), r"a damaged run \(KeyError"),
        (lambda run: (run.path / "description.json").unlink(), r"a damaged run \(FileNotFoundError"),
        (lambda run: run.write("description.json", "{}"), "its description is not ser-edge's"),
        (lambda run: (run.path / "answers.npz").write_bytes(b""), "answers.npz is an empty file"),
        (
            lambda run: (run.path / "answers.npz").write_bytes(b"version https://git-lfs.x"),
            "answers.npz is a git-LFS pointer",
        ),
        (lose_an_array, r"a damaged run \(TypeError"),
        (lambda run: run.write("conditions.json", {}), r"a damaged run \(KeyError"),
    ],
)
def test_a_broken_run_is_one_clear_error(damage: Any, message: str, tmp_path: Path) -> None:
    run = make_run(tmp_path, Settings("gru", "speaker"))
    damage(run)
    with pytest.raises(SerEdgeError, match=message) as error:
        report(parse_report([str(run.path), "--out", str(tmp_path / "page.html")]))
    assert str(error.value).startswith(str(run.path))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "page.html").exists()


def test_the_command_says_so_and_exits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"ser-train: {tmp_path}: not a finished run; train it with ser-train, or leave it out\n"
    )


def test_runs_that_are_not_one_figure_are_refused(tmp_path: Path) -> None:
    gru = make_run(tmp_path, Settings("gru", "speaker"))
    with pytest.raises(CorpusError, match="these are 2: gru by speaker with recipe -, lstm by speaker"):
        gather([gru, make_run(tmp_path, Settings("lstm", "speaker"))])
    with pytest.raises(CorpusError, match="another run of gru-speaker-fold0-seed0"):
        gather([gru, gru])
    with pytest.raises(CorpusError, match=r"seeds \[0, 1\] have different folds"):
        gather([gru, make_run(tmp_path, Settings("gru", "speaker", 1, 1))])


@pytest.mark.parametrize("text", [None, "nothing", '{"rows": 1}', '[{"network": "gru"}]'])
def test_a_table_that_was_asked_for_must_be_one(text: str | None, tmp_path: Path) -> None:
    run = make_run(tmp_path, Settings("gru", "speaker"))
    table = tmp_path / "results.json"
    if text is not None:
        table.write_text(text, "utf-8")
    with pytest.raises(CorpusError, match=f"^{table}: not a table like train/results.json"):
        report(parse_report([str(run.path), "--results", str(table), "--out", str(tmp_path / "page.html")]))


def test_the_page_says_what_every_protocol_means() -> None:
    assert list(PROTOCOL_MEANINGS) == list(PROTOCOLS)


MARKS = ("<!-- gru by speaker: made by make evaluate -->\n", "<!-- end of gru by speaker -->")


def test_a_card_shows_the_network_that_its_marks_name(folder: Path, tmp_path: Path) -> None:
    runs = [RunDirectory(path) for path in sorted((folder.parent / "runs").iterdir())]
    page = tmp_path / "CARD.md"
    page.write_text(f"# Card\n\n{MARKS[0]}old\n{MARKS[1]}\n\nend\n", "utf-8")
    other = make_run(tmp_path, Settings("lstm", "utterance"))
    for _ in range(2):
        include_model_cards([*runs, other], page)
        assert page.read_text("utf-8") == f"# Card\n\n{MARKS[0]}{card(gather(runs))}{MARKS[1]}\n\nend\n"
    text = page.read_text("utf-8")
    assert "5 folds, 2 seeds; in percent, ± is the spread over seeds." in text
    assert "| neutral | 97.9 ± 2.1 | 96.0 ± 4.0 | calm 2 |" in text
    assert "Of 24 speakers the lowest accuracy is" in text
    assert "calibrated. With the threshold 0.50, " in text
    assert "| white noise, 10 dB |" in text
    assert "nan" not in text


def test_a_card_leaves_out_what_nobody_measured(tmp_path: Path) -> None:
    text = card(gather([make_run(tmp_path, Settings("gru", "speaker", 0, 0), wrong=1)]))
    assert "white noise" not in text
    assert "uncertain" not in text
    assert "±" not in text


def test_a_card_of_a_network_that_is_not_there_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "CARD.md"
    page.write_text("".join(MARKS), "utf-8")
    with pytest.raises(CorpusError, match="it shows gru by speaker, and none of these runs is of that"):
        include_model_cards([make_run(tmp_path, Settings("gru", "utterance"))], page)
    assert page.read_text("utf-8") == "".join(MARKS)
