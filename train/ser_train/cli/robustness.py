"""The command `ser-train robustness`: accuracy under noise, gain, codecs and reverberation, and on live windows."""

import argparse
from pathlib import Path

from ser_train.cli.console import Commands, at_least, finished_runs, print_table


def add_parser(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "robustness",
        help="measure noise, telephone, codecs, a room, and live windows",
        description="Measures networks on corrupted recordings and on live windows. Runs keep what was measured, and "
        "are measured again only if the network or the code changed.",
    )
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="finished run directories of one network")
    add("--data", type=Path, metavar="PATH", help="their training corpus (default: RAVDESS speech, downloaded once)")
    add("--jobs", type=at_least(-1), default=-1, metavar="N", help="feature processes (default: one a core)")
    add("--model", type=Path, metavar="FILE", help="measure this .onnx or .tflite, exported from the one RUN given")
    add("--markdown", type=Path, metavar="FILE", help="write the table there as well")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(options: argparse.Namespace) -> int:
    """Measures runs that weren't measured yet, and prints the table; returns the exit code."""
    if options.model and len(options.runs) > 1:
        options.usage_error("--model is exported from one run; give that RUN alone")
    if options.jobs == 0:
        options.usage_error("--jobs must be 1 or more, or -1 for one a core")
    from ser_train.data.corpus_loader import read_corpus
    from ser_train.data.download import locate
    from ser_train.evaluation.robustness import pool
    from ser_train.evaluation.robustness_cache import is_measured, measure_run, read_answers
    from ser_train.reporting.tables import group_caution, group_title, robustness_table
    from ser_train.runs.grouping import single_group

    group = single_group(finished_runs(options.runs))
    if missing := [run for run in group.runs if not is_measured(run, options.model)]:
        corpus = read_corpus(locate(options.data), options.jobs)
        for directory in missing:
            measure_run(directory, options.model, corpus, options.jobs)
    figures = pool([[read_answers(run, options.model) for run in folds.values()] for folds in group.seeds.values()])
    table = robustness_table(figures, group_title(group, options.model))
    print_table(table + group_caution(group), options.markdown)
    return 0
