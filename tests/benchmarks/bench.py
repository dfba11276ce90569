"""`make bench`: what ser-edge costs beside what people would use instead, measured in one run on one machine.

    .venv/bin/python tests/benchmarks/bench.py --data RAVDESS
    .venv/bin/python tests/benchmarks/bench.py --data RAVDESS --only network,process    keeps the others' figures

Each case is a module in `cases/` and runs as a separate process, so that none inherits another's memory, threads or
caches; one that fails is reported, and the others go on. The figures are kept in `results.json`, from which `report`
makes `results.md` and `results.png`. There are no assertions on figures, and pytest never comes here.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from harness.case import Table
from harness.machine import Machine, versions
from harness.wavs import Corpus, prepared
from report.page import CASES, Measured, findings, page, shown

HERE = Path(__file__).parent
ONE_THREAD = dict.fromkeys(
    (
        "OPENBLAS_NUM_THREADS",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    ),
    "1",
)
ALL_CORES = {"corpus", "corpus_features", "page", "process", "training", "size"}  # the other cases run on one thread
DOWNLOADS = {"size"}  # only with --sizes


def main() -> None:
    """Measures, keeps the figures, and makes the page and the plot."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    stored = options.out / "results.json"
    kept = json.loads(stored.read_text())["cases"] if stored.exists() else {}
    cases = {name: Measured.of(kept[name]) for name in CASES if name in kept}
    with tempfile.TemporaryDirectory() as folder:
        corpus = None
        if options.only:
            corpus = prepared(_located(options.data), options.files, Path(folder))
        for name in options.only:
            assert corpus is not None
            cases[name] = _measured(name, corpus, options.rounds)
            _keep(stored, cases)
    if not cases:
        sys.exit("nothing measured yet")
    _keep(stored, cases)
    (options.out / "results.md").write_text(page(cases))
    from report.plot import draw

    newest = max(cases.values(), key=lambda measured: measured.date)
    draw(findings(cases), options.out / "results.png", f"{newest.machine}; {newest.date}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures ser-edge beside what people would use instead.")
    parser.add_argument("--data", type=Path, help="a folder or zip of sound files (default: copies of tests/sounds)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is measured (default: 5)")
    parser.add_argument("--files", type=int, help="measure on so many files of the corpus (default: all)")
    parser.add_argument("--only", help=f"some cases, the others' figures are kept: {','.join(CASES)}")
    parser.add_argument("--sizes", action="store_true", help="also install into empty environments: downloads 1 GB")
    parser.add_argument("--draw", action="store_true", help="only make the page and the plot again")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of results.json, .md and .png (default: here)")
    options = parser.parse_args()
    selected = options.only.split(",") if options.only else [name for name in CASES if name not in DOWNLOADS]
    if unknown := set(selected) - set(CASES):
        parser.error(f"--only {','.join(sorted(unknown))}: there are {', '.join(CASES)}")
    wanted = set(selected) | (DOWNLOADS if options.sizes else set())
    options.only = [] if options.draw else [name for name in CASES if name in wanted]
    return options


def _located(data: Path | None) -> Path | None:
    """A folder; ser_train unpacks a zip."""
    if data is None or data.is_dir():
        return data
    from ser_train.data.download import locate

    return locate(data)


def _measured(name: str, corpus: Corpus, rounds: int) -> Measured:
    """Runs a case as a process, and reports on standard error how it went."""
    load, started = os.getloadavg()[0], time.perf_counter()
    print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", f"cases.{name}", "--rounds", str(rounds)]
    command += ["--wavs", str(corpus.wavs), "--given", str(corpus.given)]
    threads = {} if name in ALL_CORES else ONE_THREAD
    done = subprocess.run(command, cwd=HERE, env={**os.environ, **threads}, capture_output=True, text=True, check=False)
    failed: str | None = None
    tables: tuple[Table, ...] = ()
    try:
        tables = tuple(Table.of(table) for table in json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        failed = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        print(done.stderr, file=sys.stderr)
    print(f"{time.perf_counter() - started:.0f} s{', failed' * bool(failed)}", file=sys.stderr, flush=True)
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Measured(date, Machine.this(), versions(), corpus.words, rounds, load, tables, failed)


def _keep(path: Path, cases: Mapping[str, Measured]) -> None:
    rows = [
        {
            "what": finding.headline.what,
            "theirs": shown(finding.headline.metric, finding.theirs),
            "ours": shown(finding.headline.metric, finding.ours),
            "ratio": finding.ratio,
        }
        for finding in findings(cases)
    ]
    data = {"rows": rows, "cases": {name: asdict(cases[name]) for name in CASES if name in cases}}
    path.write_text(json.dumps(data, indent=1) + "\n")  # the rows are what `ser-train report` shows


if __name__ == "__main__":
    main()
