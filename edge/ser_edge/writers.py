"""How predictions are printed: a class for each format, and the table that names them."""

import csv
import json
from dataclasses import asdict
from typing import Protocol, TextIO

from ser_edge.description import ModelDescription
from ser_edge.recognizer import UNCERTAIN, Prediction

__all__ = ["WRITERS", "CsvWriter", "JsonWriter", "TextWriter", "Writer"]

_DIGITS = 4  # of a probability: float32 and int8 runtimes differ behind it


class Writer(Protocol):
    """What the command line needs of a format; each prediction is out when `write` returns."""

    def __init__(self, out: TextIO, description: ModelDescription): ...

    def write(self, prediction: Prediction) -> None:
        """One line."""


class TextWriter:
    """For people: emotion, confidence, a bar, what comes next, the file."""

    BAR = 10  # characters

    def __init__(self, out: TextIO, description: ModelDescription):
        self._out = out
        self._width = max(map(len, (*description.labels, UNCERTAIN)))

    def write(self, prediction: Prediction) -> None:
        """One line, aligned with the others."""
        (best, first), (second, runner_up) = sorted(prediction.probabilities.items(), key=lambda item: -item[1])[:2]
        bar = "#" * round(first * self.BAR)
        print(
            f"{prediction.label:{self._width}}  {first:4.0%}  {bar:.<{self.BAR}}"
            f"  {'then' if prediction.label == best else f'{best}, then'} {second:{self._width}} {runner_up:4.0%}"
            f"  {prediction.path}",
            file=self._out,
            flush=True,
        )


class JsonWriter:
    """JSON lines: one object a line, the fields of `Prediction`."""

    def __init__(self, out: TextIO, description: ModelDescription):
        self._out = out

    def write(self, prediction: Prediction) -> None:
        """One object; non-ASCII paths are escaped, so any reader takes them."""
        record = asdict(prediction)
        record["confidence"] = round(prediction.confidence, _DIGITS)
        record["probabilities"] = {label: round(p, _DIGITS) for label, p in prediction.probabilities.items()}
        print(json.dumps(record), file=self._out, flush=True)


class CsvWriter:
    """CSV with a header: path, start, end, label, confidence, then a column for each label's probability."""

    def __init__(self, out: TextIO, description: ModelDescription):
        self._out = out
        self._csv = csv.writer(out, lineterminator="\n")
        self._csv.writerow(["path", "start", "end", "label", "confidence", *description.labels])

    def write(self, prediction: Prediction) -> None:
        """One row."""
        p = prediction
        numbers = [round(value, _DIGITS) for value in (p.confidence, *p.probabilities.values())]
        self._csv.writerow([p.path, p.start, p.end, p.label, *numbers])
        self._out.flush()


WRITERS: dict[str, type[Writer]] = {"text": TextWriter, "json": JsonWriter, "csv": CsvWriter}
