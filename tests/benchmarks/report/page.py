"""`results.md` from `results.json`: the machine, a headline table, and a table for each thing that was measured."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.case import Table
from harness.machine import Machine

from report.aims import HEADLINES, Aim, Finding

__all__ = ["CASES", "Measured", "findings", "page", "shown", "times"]

# Case: its heading. In the order of the page.
CASES = {
    "front_end": "Features",
    "reading": "Reading a file",
    "network": "The notebook's network",
    "sessions": "The bundled networks, opened in different ways",
    "file_to_label": "From file to label",
    "corpus": "A corpus labelled",
    "corpus_features": "A corpus's features for training",
    "process": "A whole process",
    "training": "Training",
    "live": "A live voice",
    "page": "The page in a browser",
    "size": "On the disk",
}


_HOW = (
    "The sides of a comparison were measured in one run, in turn and in random order; the figures are medians. "
    "Where it says one thread, OPENBLAS_NUM_THREADS, OMP_NUM_THREADS, MKL_NUM_THREADS, NUMBA_NUM_THREADS, "
    "TF_NUM_INTRAOP_THREADS and TF_NUM_INTEROP_THREADS were 1 for both sides. The ratios are what counts: seconds "
    "are this machine's. An aim is what the project set itself before it measured, not a promise. Made by `make bench`."
)


@dataclass(frozen=True)
class Measured:
    """A case as it is stored: each is as old as its last run."""

    date: str
    machine: Machine
    versions: str
    corpus: str
    rounds: int
    load: float  # processes that wanted a core in the minute before it began
    tables: tuple[Table, ...] = ()
    failed: str | None = None

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Measured":
        """From JSON."""
        tables = tuple(Table.of(table) for table in stored["tables"])
        return cls(**{**stored, "machine": Machine(**stored["machine"]), "tables": tables})


def findings(cases: Mapping[str, Measured]) -> list[Finding]:
    """The headlines that have figures."""
    found = (headline.of(_tables(cases, headline.case)) for headline in HEADLINES)
    return [finding for finding in found if finding]


def page(cases: Mapping[str, Measured]) -> str:
    """The whole page."""
    newest = max(cases.values(), key=lambda measured: measured.date)
    lines = [
        "# What ser-edge costs, beside what people would use instead",
        "",
        f"{newest.machine}; {newest.date}.",
        f"{newest.versions}.",
        f"The corpus: {newest.corpus}.",
        "",
        _HOW,
        "",
        "![Times less than the other way](results.png)",
        "",
        "| what | the other way | ser-edge | times less | aim | reached |",
        "|---|---|---|---|---|---|",
        *_headline_rows(cases),
    ]
    for case, heading in CASES.items():
        if case in cases:
            lines += ["", f"## {heading}", "", *_details(cases[case], newest)]
    return "\n".join(lines) + "\n"


def _headline_rows(cases: Mapping[str, Measured]) -> Iterator[str]:
    for headline in HEADLINES:
        if headline.case not in cases:
            continue
        finding = headline.of(_tables(cases, headline.case))
        aim = "" if headline.aim is None else _aim(headline.aim, headline.metric)
        if finding is None:
            same = any(table.name.endswith("-wav") for table in cases[headline.case].tables)
            if not (same and headline.table.endswith("-given")):  # the corpus was given as WAV
                yield f"| {headline.what} | failed | failed | | {aim} | |"
            continue
        reached = {None: "", True: "yes", False: "**no**"}[finding.reached]
        theirs, ours = (shown(headline.metric, value) for value in (finding.theirs, finding.ours))
        best = f" ({finding.side.removeprefix('ser-edge, ')})" if len(headline.ours) > 1 else ""
        yield f"| {headline.what} | {theirs} | {ours}{best} | {times(finding.ratio)} | {aim} | {reached} |"


def _aim(aim: Aim, metric: str) -> str:
    """Like the column of ratios, or in the metric's unit."""
    if aim.ratio is not None:
        return f"{aim.ratio:.3g} or more"
    return f"at most {shown(metric, aim.most or 0)}"


def _details(measured: Measured, newest: Measured) -> Iterator[str]:
    facts = [
        f"{measured.date}, {measured.rounds} round{'s' * (measured.rounds > 1)}, load {measured.load:.1f} before it"
    ]
    if measured.machine != newest.machine:
        facts.append(f"on another machine: {measured.machine}")
    if measured.versions != newest.versions:
        facts.append(f"with {measured.versions}")
    if measured.corpus != newest.corpus:
        facts.append(f"on another corpus: {measured.corpus}")
    yield "; ".join(facts) + "."
    if measured.failed:
        yield from ("", f"failed: {measured.failed}")
    for table in measured.tables:
        yield from ("", f"{table.title}:", "", *_table(table))
        yield from (line for note in table.notes for line in ("", note))


def _table(table: Table) -> Iterator[str]:
    sides = {name: figures for name, figures in table.sides.items() if isinstance(figures, dict)}
    columns = [key for key in _COLUMNS if any(key in figures for figures in sides.values())]
    against = sides.get(table.against, {}).get(table.metric)
    headings = [_COLUMNS[key].heading for key in columns]
    at = columns.index(table.metric) + 1 if table.metric in columns else 0
    headings.insert(at, "times less")
    yield f"| | {' | '.join(headings)} |"
    yield "|---" * (len(headings) + 1) + "|"
    for name, figures in table.sides.items():
        if not isinstance(figures, dict):
            yield f"| {name} | {figures.replace('|', '/')} |" + " |" * (len(headings) - 1)
            continue
        cells = [shown(key, figures[key]) if key in figures else "" for key in columns]
        value = figures.get(table.metric)
        cells.insert(at, times(against / value) if against and value else "")
        yield f"| {name} | {' | '.join(cells)} |"


def _tables(cases: Mapping[str, Measured], case: str) -> dict[str, Table]:
    return {table.name: table for table in cases[case].tables} if case in cases else {}


def shown(key: str, value: float) -> str:
    """A figure with its unit."""
    return _COLUMNS[key].show(value)


def _time(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.3g} s"


def _bytes(count: float) -> str:
    return f"{count / 1e6:.0f} MB" if count >= 1e7 else f"{count / 1e3:.0f} kB"


def times(ratio: float) -> str:
    """A ratio, as exact as it deserves."""
    return f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"


@dataclass(frozen=True)
class _Column:
    heading: str
    show: Callable[[float], str]


# Figure: its column. In the order of the page.
_COLUMNS: dict[str, _Column] = {
    "cpu": _Column("CPU time", _time),
    "wall": _Column("wall time", _time),
    "memory": _Column("memory", _bytes),
    "size": _Column("size", _bytes),
    "open": _Column("open", _time),
    "floors": _Column("times the floor", times),
    "difference": _Column("differs from Keras by", lambda value: f"{value:.0e}"),
    "spread": _Column("spread", lambda value: f"{value:.0%}"),
}
