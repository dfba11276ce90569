"""The command `ser-train report`: one HTML page of a network's figures and pictures, that needs nothing else.

No script, no font, no other file: pictures are inside, and beside the page as PNG. What stands on the page is
`sections`' business.
"""

import argparse
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from ser_train.cli.args import TABLES
from ser_train.data.atomic import write_text
from ser_train.data.corpus_loader import CorpusError
from ser_train.reporting.html.sections import SECTIONS, Row, Subject, Tables, headline
from ser_train.reporting.statistics import gather
from ser_train.runs.run_directory import RunDirectory

__all__ = ["report", "write_page"]

# The tables of other commands: where `make` puts them, and what they must have for this page.
_RESULTS = (TABLES["results"], ("network", "protocol", "format", "precision", "bytes", "wa", "uar", "f1"))
_EXPORTED = (
    TABLES["exported"],
    ("network", "format", "precision", "status", "bytes", "max_difference", "labels_changed", "inputs", "utterances",
     "uar", "uar_keras", "relative_cpu", "relative_cpu_keras"),
)  # fmt: skip
_BENCHMARKS = (TABLES["benchmarks"], ("what", "theirs", "ours", "ratio"))


def report(options: argparse.Namespace) -> int:
    """The command `ser-train report`; returns the exit code."""
    summary = gather([RunDirectory(path) for path in options.runs])
    tables = Tables(
        _rows(options.results, *_RESULTS),
        _rows(options.exported, *_EXPORTED),
        _rows(options.benchmarks, *_BENCHMARKS),
    )
    path = options.out or Path(f"{summary.name}.html")
    write_page(Subject(summary, tables, path))
    print(path)
    return 0


def write_page(subject: Subject) -> None:
    """Makes the pictures, then the page, whole or not at all."""
    subject.page.parent.mkdir(parents=True, exist_ok=True)
    made = {title: make(subject) for title, make in SECTIONS.items()}
    shown = {title: (title.lower().replace(" ", "-"), body) for title, body in made.items() if body}
    html = _PAGE.substitute(
        title=escape(subject.title),
        headline=headline(subject),
        contents="".join(f'<a href="#{anchor}">{title}</a> ' for title, (anchor, _) in shown.items()),
        sections="".join(
            f'<section id="{anchor}">\n<h2>{title}</h2>\n{body}</section>\n' for title, (anchor, body) in shown.items()
        ),
    )
    write_text(subject.page, html)


def _rows(given: Path | None, default: str, columns: Sequence[str]) -> Sequence[Row]:
    """A table; it must be there if it is asked for by name."""
    path = given or Path(default)
    if given is None and not path.exists():
        return ()
    try:
        data = json.loads(path.read_text("utf-8"))
        rows = data["rows"] if isinstance(data, dict) else data
        return [{column: row[column] for column in columns} for row in rows]
    except (OSError, KeyError, TypeError, ValueError) as e:
        raise CorpusError(f"{path}: not a table like {default} ({type(e).__name__}: {e}); make it again") from e


_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { color-scheme: light dark; --ink: #1d2125; --soft: #5c646c; --paper: #fff; --line: #e2e5e8; --bar: #8fc1e3;
  --accent: #0072b2; --shade: #0005; }
body { max-width: 46rem; margin: 3rem auto 5rem; padding: 0 1.2rem; color: var(--ink); background: var(--paper);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .5rem; }
h1 small { color: var(--soft); font-size: 1.1rem; font-weight: 400; }
h2 { font-size: 1.3rem; margin: 3.5rem 0 .8rem; padding-top: .8rem; border-top: 1px solid var(--line); }
p { margin: .8rem 0; }
.meaning { font-size: 1.1rem; padding-left: .8rem; border-left: 3px solid var(--accent); }
.tiles { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1.6rem 0; }
.tiles div, .tiles span { display: block; }
.tiles strong { font-size: 2rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tiles small { font-size: 1rem; font-weight: 400; }
.tiles span, nav, dt, thead th { color: var(--soft); font-size: .875rem; }
nav a { color: var(--accent); margin-right: 1.1rem; white-space: nowrap; }
/* What is wider than the page scrolls, and a shadow at its edge says that there is more. */
.wide { overflow-x: auto; margin: 1.2rem 0; scrollbar-width: thin; background:
  linear-gradient(to right, var(--paper) 1.5rem, transparent) local,
  linear-gradient(to left, var(--paper) 1.5rem, transparent) right local,
  radial-gradient(farthest-side at 0 50%, var(--shade), transparent) left / .8rem 100% scroll,
  radial-gradient(farthest-side at 100% 50%, var(--shade), transparent) right / .8rem 100% scroll;
  background-repeat: no-repeat; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); text-align: right; font-weight: 400; }
th:first-child { text-align: left; padding-left: 0; }
thead th { vertical-align: bottom; }
td { white-space: pre; }
.share { padding-right: 4.2rem; background: right .6rem center / 3rem .7rem no-repeat
  linear-gradient(to right, var(--bar) calc(var(--share) * 1%), var(--line) 0); }
.mark { font-weight: 600; }
.mark * { font-weight: inherit; }
img { display: block; max-width: 100%; height: auto; margin: 1.4rem auto; }
dt { margin-top: .7rem; }
dd { margin: 0; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ea; --soft: #9aa3ab; --paper: #15181b; --line: #30363c; --bar: #2f78a8; --accent: #66b5e8;
    --shade: #fff6; }
  img { filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen; } /* white is the page, blue stays blue */
}
@media (max-width: 40rem) { /* phones: narrower cells, and the bar below its figure */
  body { padding: 0 .9rem; margin-top: 1.5rem; }
  table { font-size: .8125rem; }
  th, td { padding: .35rem .25rem; }
  thead th { font-size: .75rem; }
  th[scope=row] { min-width: 5.5rem; overflow-wrap: anywhere; }
  .share { padding-right: .3rem; background-position: .3rem 100%; background-size: calc(100% - .6rem) .2rem; }
}
@media print { section { break-inside: avoid; } }
</style>
</head>
<body>
<header>
$headline
<nav>$contents</nav>
</header>
<main>
$sections</main>
</body>
</html>
""")
