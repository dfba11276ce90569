"""The command `ser-train evaluate`: one table of many runs, and on request their calibration and accuracy."""

import argparse
import json
import sys
from pathlib import Path

from ser_train.cli.console import Commands, finished_runs


def add_parser(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "evaluate",
        help="make the table of accuracies",
        description="Pools the folds and seeds of runs, and prints the table of their accuracies. Changes no run "
        "unless --update-runs is given; ser-export takes from there what a model file states.",
    )
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="finished run directories")
    add("--update-runs", action="store_true", help="write temperature, threshold and pooled accuracy into the runs")
    add("--out", type=Path, metavar="FILE", help="write the rows there, as JSON; those of other networks stay")
    add(
        "--page",
        nargs="+",
        action="extend",
        type=Path,
        default=[],
        metavar="FILE",
        help="put tables into pages, between their markers",
    )
    add("--exported", type=Path, metavar="DIR", help="evaluate the model files ser-export made there as well")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(options: argparse.Namespace) -> int:
    """Prints the table; returns the exit code."""
    if options.page and not options.out:
        options.usage_error("--page takes the rows of other networks from the file of --out; give it as well")
    from ser_train.data.atomic import write_text
    from ser_train.evaluation.results import evaluate, lost_rows, read_rows, update_runs, with_other_networks
    from ser_train.reporting.model_card import include_model_cards
    from ser_train.reporting.tables import include_table, results_table

    runs = finished_runs(options.runs)
    evaluation = evaluate(runs, options.exported)
    if options.update_runs:
        update_runs(evaluation)
    earlier = read_rows(options.out) if options.out else []
    rows = with_other_networks(evaluation.rows, earlier)
    if options.out:
        write_text(options.out, json.dumps(rows, indent=1) + "\n")
    for page in options.page:
        include_table(rows, page)
        include_model_cards(runs, page)
    if not evaluation.rows:
        print(
            "ser-train: no accuracy: protocol all tests speakers that it was trained on; give the five runs of "
            "--protocol speaker as well (five speakers or more)",
            file=sys.stderr,
        )
        return 1
    print(results_table(evaluation.rows), end="")
    for sentence in evaluation.incomplete:
        print(f"ser-train: {sentence}", file=sys.stderr)
    for kind in lost_rows(evaluation.rows, earlier):
        print(f"ser-train: {options.out} no longer has a row of {kind}", file=sys.stderr)
    return 0
