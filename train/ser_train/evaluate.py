"""Many runs become one table: `train/results.json`, and the Markdown that pages include."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ser_edge.description import Accuracy
from ser_train.atomic import write_text
from ser_train.corpus import CorpusError
from ser_train.report import markdown_table
from ser_train.run import RunDirectory
from ser_train.scores import pooled
from ser_train.splits import PROTOCOLS

__all__ = ["evaluate", "include"]

BEGIN, END = "<!-- figures: made by make evaluate -->", "<!-- end of figures -->"


def evaluate(runs: Sequence[RunDirectory]) -> list[dict[str, Any]]:
    """Pools finished runs by network and protocol, and tells each run the figure it may show.

    Returns:
        Rows for `results.json`. A run's description then carries its row's figures, which is what an exported model
        shows: the cross-validated accuracy, not that of one lucky fold.

    Raises:
        CorpusError: no run at all, or a seed that lacks a fold; its figure would be another protocol's.
    """
    if not runs:
        raise CorpusError("none of these is a finished run; train some with ser-train")
    groups: dict[tuple[str, str], dict[int, dict[int, RunDirectory]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        s = run.settings
        if s.fold in groups[s.network, s.protocol][s.seed]:
            raise CorpusError(f"{run.path}: there is another run of {s.name}; give one of them")
        groups[s.network, s.protocol][s.seed][s.fold] = run
    rows = []
    for (network, protocol), seeds in groups.items():
        folds = PROTOCOLS[protocol].folds
        for seed, by_fold in seeds.items():
            missing = sorted(set(range(folds)) - set(by_fold))
            if missing:
                raise CorpusError(
                    f"{network}, {protocol}, seed {seed}: folds {missing} are not trained; use --fold all"
                )
        members = [run for by_fold in seeds.values() for run in by_fold.values()]
        if len({(run.settings.epochs, run.settings.corpus) for run in members}) > 1:
            raise CorpusError(f"{network}, {protocol}: trained on different data or for different epochs; train anew")
        intervals = pooled([[run.answers.of_test() for run in by_fold.values()] for by_fold in seeds.values()])
        rows.append(
            {
                "network": network,
                "protocol": protocol,
                "format": "keras",
                "precision": "float32",
                "seeds": len(seeds),
                "folds": folds,
                "parameters": members[0].read("run.json")["parameters"],
                "bytes": (members[0].path / "model.keras").stat().st_size,
                **{metric: asdict(interval) for metric, interval in intervals.items()},
            }
        )
        figures = (round(intervals[metric].mean, 2) for metric in ("wa", "uar", "f1"))
        accuracy = Accuracy(protocol, folds, len(seeds), *figures)
        for run in members:
            run.write("description.json", replace(run.description, accuracy=accuracy).to_json())
    return rows


def include(rows: Sequence[dict[str, Any]], page: Path) -> None:
    """Puts the table between the page's two marks.

    Raises:
        CorpusError: the page has no marks, or the wrong way round.
    """
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise CorpusError(f"{page}: nowhere to put the figures; it needs the lines {BEGIN} and {END}")
    write_text(page, f"{before}{BEGIN}\n{markdown_table(rows)}{END}{after}")
