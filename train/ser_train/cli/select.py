"""The command `ser-train select`: compares settings by runs of the protocol `inner` alone."""

import argparse
from pathlib import Path

from ser_train.cli.console import finished_runs, print_table

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_arguments", "run"]

HELP = "compare settings by the protocol `inner`"
DESCRIPTION = "Compares settings for each fold of `speaker` by runs of `inner`, without touching the fold's speakers."
EPILOG = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a model selection."""
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="finished runs of `inner`; others are left out"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there as well")


def run(options: argparse.Namespace) -> int:
    """Prints the table; returns the exit code."""
    from ser_train.evaluation.model_selection import fold_scores
    from ser_train.reporting.tables import selection_table

    print_table(selection_table(fold_scores(finished_runs(options.runs))), options.markdown)
    return 0
