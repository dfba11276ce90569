"""Measures how accurate a network is after so many own recordings a label: the curve in docs/own-data.md.

    .venv/bin/python -m train.own_data.measure --data ravdess/ --work runs/own-data

RAVDESS's actors stand for somebody's speakers. A fifth of them is left out, as in the protocol `speaker`; of the
others, every recording of the second sentence's second repetition. From the rest a number of recordings of each label
is drawn and written as a table, and `ser-train --data TABLE --protocol all` trains on it, as it would for a user. The
network is then tested on what was left out: other recordings of the same speakers, and other speakers.

What is finished isn't done again, so the script can be stopped at any time. Each training starts with an empty cache,
so that its CPU time is that of a first training. `curve` makes the table and the picture.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np

from ser_train.data.corpus_loader import read_corpora
from ser_train.data.splits import SPEAKER_FOLDS
from ser_train.data.utterance import Utterance, unique
from train.own_data.curve import Result, draw, with_table

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
RESULTS, PICTURE, PAGE = HERE / "results.json", HERE / "curve.png", ROOT / "docs/own-data.md"
COUNTS = (5, 10, 20, 50, 100)  # recordings of a label
FEW = 100  # recordings, below which docs/own-data.md advises crnn to average over fewer steps
NETWORKS = ("whisper-gru", "crnn")  # the default for own recordings, and what was it before


@dataclass(frozen=True)
class Parts:
    """One repetition of the experiment."""

    pool: list[Utterance]  # to draw from
    same_speakers: list[Utterance]  # of the pool's speakers
    other_speakers: list[Utterance]


def parts(utterances: Sequence[Utterance], repeat: int) -> Parts:
    """Parts a corpus for a repetition, each of which leaves out another fold of actors."""
    known = [u for u in utterances if u.actor not in SPEAKER_FOLDS[repeat]]
    tested = [u for u in known if _is_second_take(u)]
    return Parts(
        [u for u in known if not _is_second_take(u)],
        tested,
        [u for u in utterances if u.actor in SPEAKER_FOLDS[repeat]],
    )


def drawn(pool: Sequence[Utterance], count: int, repeat: int) -> list[Utterance]:
    """So many recordings of each label, or all there are, dealt evenly to its speakers.

    A smaller count's are among a larger one's.
    """
    random = np.random.default_rng(repeat)
    by_label: dict[str, dict[str, list[Utterance]]] = defaultdict(lambda: defaultdict(list))
    for place in random.permutation(len(pool)):
        by_label[pool[place].emotion][pool[place].speaker].append(pool[place])
    chosen = []
    for _, speakers in sorted(by_label.items()):
        rounds = [(turn, u) for recordings in speakers.values() for turn, u in enumerate(recordings)]
        chosen += [u for _, u in sorted(rounds, key=lambda dealt: dealt[0])[:count]]
    return chosen


def write_table(utterances: Sequence[Utterance], path: Path) -> None:
    """Writes what `ser-train --data` takes."""
    lines = [f"{u.path.resolve()},{u.emotion},actor {u.actor}\n" for u in utterances]
    path.write_text("path,label,speaker\n" + "".join(lines), "utf-8")


def train(network: str, table: Path, recordings: int, repeat: int) -> tuple[Path, float]:
    """Trains by the command, from nothing; returns the run directory and the seconds of CPU time."""
    runs, cache = table.parent / network, table.parent / "cache"
    for folder in (runs, cache):
        shutil.rmtree(folder, ignore_errors=True)
    changes = ["--set", "average=0.9"] if network == "crnn" and recordings < FEW else []
    command = [sys.executable, "-m", "ser_train", "--data", str(table), "--arch", network, "--protocol", "all"]
    before = _cpu_seconds()
    subprocess.run(
        [*command, "--seed", f"{repeat}", "--out", str(runs), *changes],
        env=os.environ | {"SER_EDGE_CACHE": str(cache)},
        check=True,
    )
    spent = _cpu_seconds() - before
    shutil.rmtree(cache)
    (run,) = runs.iterdir()
    return run, spent


def uar(run: Path, utterances: Sequence[Utterance]) -> float:
    """A run's UAR on RAVDESS speech, in percent."""
    from ser_train.evaluation.cross_corpus import score_corpora
    from ser_train.evaluation.keras_model import open_run
    from ser_train.runs.run_directory import RunDirectory

    (scored,) = score_corpora(open_run(RunDirectory(run)), run.name, utterances)
    return round(scored.uar, 2)


def measure(network: str, count: int, repeat: int, utterances: Sequence[Utterance], work: Path) -> Result:
    """One point of the curve, measured or as it was measured before."""
    folder = work / f"{repeat}" / f"{count}"
    folder.mkdir(parents=True, exist_ok=True)
    finished = folder / f"{network}.json"
    if finished.exists():
        return Result(**json.loads(finished.read_text("utf-8")))
    split = parts(utterances, repeat)
    recordings = drawn(split.pool, count, repeat)
    write_table(recordings, folder / "recordings.csv")
    run, seconds = train(network, folder / "recordings.csv", len(recordings), repeat)
    result = Result(
        network,
        count,
        repeat,
        len(recordings),
        same_speakers=uar(run, split.same_speakers),
        other_speakers=uar(run, split.other_speakers),
        cpu_seconds=round(seconds, 1),
    )
    finished.write_text(json.dumps(asdict(result)), "utf-8")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, and writes `results.json`, the picture and the page; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m train.own_data.measure", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="RAVDESS speech: a folder")
    add("--work", type=Path, required=True, help="a folder for tables, runs and finished figures")
    add("--count", nargs="+", type=int, default=COUNTS, help="recordings of a label (default: %(default)s)")
    add("--network", nargs="+", choices=NETWORKS, default=NETWORKS)
    add("--repeats", type=int, default=1, help="how often, each time with other speakers left out (default: 1)")
    options = parser.parse_args(arguments)
    utterances = unique(read_corpora([options.data]))
    results = {_key(result): result for result in _read(RESULTS)}
    for repeat, count, network in product(range(options.repeats), options.count, options.network):
        result = measure(network, count, repeat, utterances, options.work)
        results[_key(result)] = result
        print(result, flush=True)
        _write(results)
    return 0


def _write(results: Mapping[tuple[int, ...], Result]) -> None:
    """Writes what is measured so far, everywhere."""
    ordered = [results[key] for key in sorted(results)]
    RESULTS.write_text(json.dumps([asdict(result) for result in ordered], indent=1) + "\n", "utf-8")
    draw(ordered, PICTURE)
    PAGE.write_text(with_table(PAGE.read_text("utf-8"), ordered), "utf-8")


def _read(path: Path) -> list[Result]:
    return [Result(**entry) for entry in json.loads(path.read_text("utf-8"))] if path.exists() else []


def _key(result: Result) -> tuple[int, ...]:
    return NETWORKS.index(result.network), result.count, result.repeat


def _is_second_take(utterance: Utterance) -> bool:
    """Whether it is the second repetition of the second sentence, by RAVDESS's file names."""
    *_, sentence, repetition, _ = utterance.path.stem.split("-")
    return (sentence, repetition) == ("02", "02")


def _cpu_seconds() -> float:
    """Of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
