"""The command `ser-train select`: compares settings by runs of the protocol `inner` alone."""

import argparse
from pathlib import Path

from ser_train.cli.console import Commands, finished_runs, print_table


def add_parser(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "select",
        help="compare settings by the protocol `inner`",
        description="Compares settings for each fold of `speaker` by runs of `inner` alone.",
    )
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="finished runs of `inner`; others are left out")
    add("--markdown", type=Path, metavar="FILE", help="write the table there as well")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the table; returns the exit code."""
    from ser_train.evaluation.model_selection import fold_scores
    from ser_train.reporting.tables import selection_table

    print_table(selection_table(fold_scores(finished_runs(options.runs))), options.markdown)
    return 0
