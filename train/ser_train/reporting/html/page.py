"""One HTML page of a network's figures and plots, that needs no other file: no script, no font, plots inside.

Its structure and wording are in the template `report.html.j2`; here are the plots, and the data that the template gets.
"""

import json
import logging
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ser_train.data.atomic import write_text
from ser_train.data.utterance import CorpusError
from ser_train.evaluation.metrics import Reliability, reliability
from ser_train.reporting.misclassified import mistakes
from ser_train.reporting.plots import (
    Curve,
    plot_confusion,
    plot_coverage,
    plot_histories,
    plot_reliability,
    plot_speakers,
)
from ser_train.reporting.statistics import ResultSummary
from ser_train.reporting.tables import caution, cell, value_range
from ser_train.runs.run_directory import Answers

PROTOCOL_MEANINGS = {
    "notebook": "Train/test leakage: every file is there twice, and the test set stops the training.",
    "utterance": "Known speakers: new recordings of those it was trained on; a new user gets less.",
    "speaker": "Unseen speakers: none of them was in training; this is what a new user gets.",
    "inner": "For model selection: unseen speakers, but fewer are trained on; not an accuracy to quote.",
    "all": "No test: every speaker was trained on, so these figures mean nothing.",
}
COLUMNS = {  # that a table must have, by the command option that names its file
    "results": ("network", "protocol", "corpus", "labels", "format", "precision", "bytes", "wa", "uar", "f1"),
    "exported": (
        *("network", "corpus", "labels", "format", "precision", "status", "bytes"),
        *("max_difference", "labels_changed", "inputs"),
        *("utterances", "uar", "uar_keras", "relative_cpu", "relative_cpu_keras"),
    ),
    "benchmarks": ("what", "theirs", "ours", "ratio"),
}
_MOST_MISTAKES = 50  # recordings listed
_SCALE = 1.4  # pixels of a plot for one of the page: crisp on dense screens, and letters of 12 pixels

_log = logging.getLogger(__name__)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class ProjectTables:
    """What other commands measured; empty where they didn't."""

    results: Sequence[Row] = ()  # of `ser-train evaluate`
    exported: Sequence[Row] = ()  # of `ser-export`
    benchmarks: Sequence[Row] = ()  # of `make bench`


def read_table(kind: str, given: Path | None, default: str) -> Sequence[Row]:
    """The rows of a table.

    Args:
        kind: a key of COLUMNS.
        given: a file that must be a table.
        default: a file that is read in place of `given` if it exists; somebody else's of this name is left out, with a
            warning in the log.

    Raises:
        CorpusError: `given` isn't such a table.
    """
    path = given or Path(default)
    if given is None and not path.exists():
        return ()
    try:
        data = json.loads(path.read_text("utf-8"))
        rows = data["rows"] if isinstance(data, dict) else data
        unknown = {"corpus": "", "labels": 0}  # in 0.1.0 exported files had neither
        return [{column: (unknown | row)[column] for column in COLUMNS[kind]} for row in rows]
    except (OSError, KeyError, TypeError, ValueError) as e:
        if given is None:
            _log.warning("%s: not a table for this report, left out", path)
            return ()
        reason = f"{type(e).__name__}: {e}"
        raise CorpusError(f"{path}: not a table like {default} ({reason}); make it again", code="report-table") from e


def write_page(summary: ResultSummary, tables: ProjectTables, page: Path) -> None:
    """Draws the plots as PNG files beside the page, then writes the page, whole or not at all."""
    page.parent.mkdir(parents=True, exist_ok=True)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # no name in a file becomes markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["accuracy"] = cell
    template = environment.get_template("report.html.j2")
    write_text(page, template.render(_context(summary, tables), plots=_plots(summary, page)))


def _context(summary: ResultSummary, tables: ProjectTables) -> dict[str, Any]:
    settings = summary.settings
    results, exported = (_comparable(rows, summary) for rows in (tables.results, tables.exported))
    exported = [row for row in exported if row["network"] == settings.label]
    verified = [row for row in exported if row["bytes"] is not None]
    files = [r for r in results if (r["network"], r["protocol"]) == (settings.label, settings.protocol)]
    if all(row["format"] == "keras" for row in files):
        files = []
    wrong = mistakes(summary.calibrated_answers, summary.labels)
    heads, networks = _networks(results)
    robustness = summary.robustness
    return {
        "summary": summary,
        "title": _title(summary),
        "caution": caution(settings.protocol, len(summary.actors)),
        "meanings": PROTOCOL_MEANINGS,
        "sections": {  # and whether they are shown
            "All networks": networks,
            "Emotions": True,
            "Mistakes": wrong,
            "Speakers": True,
            "Confidence": True,
            "Robustness": robustness,
            "Training": summary.histories,
            "Size and speed": files or exported or tables.benchmarks,
            "Origin": True,
        },
        "networks": networks,
        "network_heads": heads,
        "mistakes": wrong,
        "most_mistakes": _MOST_MISTAKES,
        "recordings": len({name for answers in summary.answers for name in answers.names.tolist()}),
        "robustness": robustness,
        "temperatures": value_range([run.metadata.temperature for run in summary.runs]),
        "thresholds": value_range([run.metadata.threshold for run in summary.runs]),
        "validated": any("val_loss" in run.history[0] for run in summary.histories),
        "files": files,
        "verified": verified,
        "not_made": [row for row in exported if row["bytes"] is None],
        "benchmarks": tables.benchmarks,
        "provenance": _provenance(summary),
    }


def _comparable(rows: Sequence[Row], summary: ResultSummary) -> list[Row]:
    """Those of networks of the same corpus and as many labels; in a checkout the project's own are there as well."""
    corpus, labels = summary.runs[0].metadata.corpus, len(summary.labels)
    return [row for row in rows if (row["corpus"], row["labels"]) == (corpus, labels)]


def _title(summary: ResultSummary) -> str:
    return f"{summary.settings.label} (protocol: {summary.settings.protocol})"


def _plots(summary: ResultSummary, page: Path) -> dict[str, dict[str, Any]]:
    """By name; each is also a PNG beside the page."""
    title, answers, calibrated = _title(summary), summary.pooled_answers, summary.pooled_calibrated_answers
    before, after = summary.headline["ece"].mean, summary.calibrated_ece
    bins = {f"{'uncalibrated' if summary.is_calibrated else 'network'}, error {before:.3f}": _bins(answers)}
    if summary.is_calibrated:
        bins[f"calibrated, error {after:.3f}"] = _bins(calibrated)
    accuracy, chance = summary.headline["wa"].mean, summary.chance
    curves = [Curve(run.history, run.facts.get("best_epoch", len(run.history))) for run in summary.histories]
    names = ["confusion", "actors", "reliability", "coverage", *(["curves"] if curves else [])]
    paths = {name: page.with_name(f"{page.stem}-{name}.png") for name in names}
    plot_confusion(answers, summary.labels, title, paths["confusion"])
    plot_speakers(summary.actors, accuracy, chance, title, paths["actors"])
    plot_reliability(bins, title, paths["reliability"])
    plot_coverage(calibrated, summary.at_threshold, title, paths["coverage"])
    if curves:
        plot_histories(curves, title, paths["curves"])
    return {name: _embedded(path.read_bytes()) for name, path in paths.items()}


def _bins(answers: Answers) -> Reliability:
    return reliability(answers.labels, answers.probabilities)


def _embedded(png: bytes) -> dict[str, Any]:
    """Attributes of an image: a data URL, and pixels of the page."""
    width, height = (round(int.from_bytes(png[at : at + 4]) / _SCALE) for at in (16, 20))  # of the first chunk
    return {"source": f"data:image/png;base64,{b64encode(png).decode()}", "width": width, "height": height}


def _networks(results: Sequence[Row]) -> tuple[list[str], dict[str, list[str]]]:
    """The table of all networks in Keras: heads by protocol, and for each network its cells."""
    keras = {(row["network"], row["protocol"]): cell(row) for row in results if row["format"] == "keras"}
    protocols = [p for p in PROTOCOL_MEANINGS if any(protocol == p for _, protocol in keras)]
    heads = [f"{protocol}: {PROTOCOL_MEANINGS[protocol].partition(':')[0].lower()}" for protocol in protocols]
    return heads, {
        network: [keras.get((network, protocol), "").replace(" (", "\n(") for protocol in protocols]
        for network in dict.fromkeys(network for network, _ in keras)
    }


def _provenance(summary: ResultSummary) -> dict[str, str]:
    settings, runs = summary.settings, summary.runs
    facts = runs[0].facts
    known = {
        "data": sorted({str(run.metadata.training.get("data", "unknown")) for run in runs}),
        "runs": [run.path.name for run in runs],
        "changed settings": settings.changes,
        "teachers": settings.teachers,
        "initial network": settings.init,
        "recipe": facts.get("recipe"),
        "front-end": asdict(runs[0].metadata.features),
        "parameters": facts.get("parameters"),
        "epochs trained": sorted({run.facts["epochs"] for run in runs if "epochs" in run.facts}),
        "utterances of the first run": facts.get("utterances"),
        "digests of recipe and recordings": [settings.recipe, *sorted({run.settings.corpus for run in runs})],
        "versions": facts.get("versions"),
    }
    return {name: _plain(value) for name, value in known.items()}


def _plain(value: Any) -> str:
    """Settings as text, without those that are None."""
    if isinstance(value, dict):
        parts = {name: part if isinstance(part, list | tuple) else [part] for name, part in value.items()}
        value = [" ".join(map(str, [name, *part])) for name, part in parts.items() if part != [None]]
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
