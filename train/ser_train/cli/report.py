"""The command `ser-train report`: one HTML page of a network's figures and plots."""

import argparse
from pathlib import Path

from ser_train.cli.console import Commands

TABLES = {  # figures that a report shows as well, by option, and where `make` puts them
    "results": "train/results.json",
    "exported": "export/results.json",
    "benchmarks": "tests/benchmarks/results.json",
}


def add_parser(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "report",
        help="make an HTML page with plots",
        description="Makes one HTML page of a network's figures and plots: of a run, or of several folds and seeds.",
    )
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="finished run directories of one network and protocol")
    add("--out", type=Path, metavar="FILE", help="the page (default: NETWORK-PROTOCOL.html here)")
    for name, default in TABLES.items():
        add(f"--{name}", type=Path, metavar="FILE", help=f"table to show as well (default: {default}, if it is there)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Writes the page and prints its path; returns the exit code."""
    from ser_train.reporting.html.page import ProjectTables, read_table, write_page
    from ser_train.reporting.statistics import gather
    from ser_train.runs.run_directory import RunDirectory

    summary = gather([RunDirectory(path) for path in options.runs])
    tables = ProjectTables(
        **{kind: read_table(kind, getattr(options, kind), default) for kind, default in TABLES.items()}
    )
    path = options.out or Path(f"{summary.name}.html")
    write_page(summary, tables, path)
    print(path)
    return 0
