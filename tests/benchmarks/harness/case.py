"""What a case is: a module with a function that takes `Settings` and returns `Table`s, run as a separate process.

    python -m cases.front_end --rounds 2 --wavs ../sounds      (in this folder)

prints them as JSON. A case knows nothing of the report, and `report` knows only tables.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.timing import Figures

__all__ = ["SOUND_SUFFIXES", "Settings", "Table", "main"]

SOUND_SUFFIXES = (".flac", ".wav")


@dataclass(frozen=True)
class Settings:
    """How much is measured, and on what."""

    rounds: int
    wavs: Path  # folder: the corpus as WAV
    given: Path  # folder: the corpus as it was given; the same folder, where that is WAV

    def files(self, folder: Path | None = None) -> list[Path]:
        """All files of the corpus, in order."""
        found = (path for path in (folder or self.wavs).rglob("*") if path.suffix in SOUND_SUFFIXES)
        return sorted(found)

    def some_files(self, count: int) -> list[Path]:
        """So many WAVs, spread over the corpus; all, where there are fewer."""
        files = self.files()
        step = max(1, len(files) // count)
        return files[::step][:count]


@dataclass(frozen=True)
class Table:
    """Sides that were measured in turn."""

    name: str  # `report.aims` finds it by this
    title: str  # what was measured, and how
    against: str  # the side that the others are compared with
    metric: str  # by this figure
    sides: Mapping[str, Figures | str]  # a text says why there are no figures
    notes: Sequence[str] = field(default=())

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Table":
        """From JSON."""
        return cls(**stored)


def main(measure: Callable[[Settings], Sequence[Table]]) -> None:
    """Runs a case; its tables are the last line on standard output."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--wavs", type=Path, required=True)
    parser.add_argument("--given", type=Path)
    options = parser.parse_args()
    tables = measure(Settings(options.rounds, options.wavs.resolve(), (options.given or options.wavs).resolve()))
    print(json.dumps([asdict(table) for table in tables]))
