"""What was exported, as a table, a picture and JSON: each cell of network x format x precision, made or not and why."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

import keras
import matplotlib
import numpy as np
import numpy.typing as npt
import onnx
from matplotlib.figure import Figure

from ser_edge.model import Model
from ser_export import onnx_graph, tflite
from ser_export.gates import Proof

__all__ = ["Cell", "markdown", "picture", "relative_cpu", "write_report"]

matplotlib.use("Agg")  # files only: no screen is needed

_ROUNDS, _WARM_UP = 45, 5  # inferences of each side, in turn; the first ones don't count
_OPERATORS: dict[str, Callable[[Path], dict[str, int]]] = {
    ".onnx": lambda path: onnx_graph.operators(onnx.load(path)),
    ".tflite": lambda path: tflite.operators(path.read_bytes()),
}
_COLUMNS = (
    "network",
    "format",
    "weights",
    "KiB",
    "differs by",
    "labels changed",
    "UAR (Keras), %",
    "CPU, float32 ONNX = 1",
    "CPU, Keras predict = 1",
)
_RUNTIME = {".onnx": "ONNX Runtime", ".tflite": "LiteRT"}


@dataclass(frozen=True)
class Cell:
    """A row of `results.json`; the figures are None where no file was made."""

    network: str
    format: str  # "onnx" or "tflite"
    precision: str
    status: str  # "proven", or why there is no file
    protocol: str = ""  # of the utterances that UAR is measured on
    bytes: int | None = None
    max_difference: float | None = None  # of a probability, from Keras
    labels_changed: int | None = None
    inputs: int | None = None  # that the numbers were compared on
    utterances: int | None = None  # that UAR was measured on
    uar: float | None = None  # percent
    uar_keras: float | None = None
    relative_cpu: float | None = None  # CPU time of an inference; the network's first file (float32 ONNX) is 1
    relative_cpu_keras: float | None = None  # the same; `keras.Model.predict` is 1
    operators: dict[str, int] | None = None  # what the file needs of its runtime: names and versions

    @classmethod
    def proven(cls, network: str, path: Path, precision: str, protocol: str, proof: Proof) -> "Cell":
        """Of a file that passed the gates."""
        return cls(
            network,
            path.suffix[1:],
            precision,
            "proven",
            protocol,
            path.stat().st_size,
            proof.max_difference,
            proof.labels_changed,
            proof.inputs,
            proof.utterances,
            round(proof.file.uar, 2),
            round(proof.keras.uar, 2),
            operators=_OPERATORS[path.suffix](path),
        )


def relative_cpu(
    files: Sequence[Path], model: keras.Model, features: npt.NDArray[np.float32]
) -> dict[Path, tuple[float, float]]:
    """CPU time of an inference of one utterance, measured in turn in this process.

    Args:
        files: proven files of one network, the first its float32 ONNX file.
        model: the network in Keras.
        features: (n, frames, coefficients), not normalised.

    Returns:
        For each file: (times the first one's, times `keras.Model.predict`'s).
    """
    opened = {path: Model(path) for path in files}
    seconds: dict[Path | None, list[float]] = {path: [] for path in (*files, None)}
    inputs = opened[files[0]].description.inputs(features)  # Keras has it done; a file does it as it answers
    sides: list[tuple[Path | None, Callable[..., object], npt.NDArray[np.float32]]] = [
        *((path, file.probabilities, features) for path, file in opened.items()),
        (None, partial(model.predict, verbose=0), inputs),
    ]
    random = np.random.default_rng(0)
    for turn in range(_ROUNDS):
        row = turn % len(features)
        for side in random.permutation(len(sides)):  # whoever follows Keras finds the caches cold
            path, infer, items = sides[side]
            started = time.process_time()
            infer(items[row : row + 1])
            seconds[path].append(time.process_time() - started)
    medians = {path: median(values[_WARM_UP:]) for path, values in seconds.items()}
    return {path: (medians[path] / medians[files[0]], medians[path] / medians[None]) for path in files}


def write_report(cells: Sequence[Cell], folder: Path) -> None:
    """`results.json`, `results.md` and `results.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps([asdict(cell) for cell in cells], indent=1) + "\n", "utf-8")
    (folder / "results.md").write_text(markdown(cells), "utf-8")
    picture(cells, folder / "results.png")


def markdown(cells: Sequence[Cell]) -> str:
    """A row a cell."""
    lines = [
        f"| {' | '.join(_COLUMNS)} |",
        "|---" * len(_COLUMNS) + "|",
    ]
    for c in cells:
        start = f"| `{c.network}` | {c.format} | {c.precision} | "
        if c.bytes is None:
            lines.append(f"{start}- | {c.status} | | | | |")
            continue
        cpu = " | " if c.relative_cpu is None else f"{c.relative_cpu:.2f} | 1/{1 / (c.relative_cpu_keras or 1):.0f}"
        lines.append(
            f"{start}{c.bytes / 1024:.0f} | {c.max_difference:.1e} | {c.labels_changed} of {c.inputs} | "
            f"{c.uar:.1f} ({c.uar_keras:.1f}) | {cpu} |"
        )
    measured = {(c.protocol, c.utterances) for c in cells if c.bytes is not None}
    notes = "; ".join(f"protocol `{protocol}`, {count} test utterances, 1 seed" for protocol, count in sorted(measured))
    return "\n".join([*lines, "", f"UAR by {notes}." if notes else ""]) + "\n"


def picture(cells: Sequence[Cell], path: Path) -> None:
    """Size against UAR; labels tell the precision and the CPU time."""
    figure = Figure(figsize=(8.4, 5), layout="constrained")
    axes = figure.add_subplot()
    made = [c for c in cells if c.bytes is not None]
    networks = list(dict.fromkeys(c.network for c in made))
    colors = {network: f"C{place}" for place, network in enumerate(networks)}
    for c in made:
        marker = "o" if c.format == "onnx" else "^"
        axes.scatter(c.bytes / 1024, c.uar, color=colors[c.network], marker=marker, s=50)
        above = c.format == "onnx"
        axes.annotate(
            f"{c.precision} {c.relative_cpu:.1f}x" if c.relative_cpu else c.precision,
            (c.bytes / 1024, c.uar),
            xytext=(0, 7 if above else -14),
            textcoords="offset points",
            ha="center",
            fontsize=7,
        )
    for network, color in colors.items():
        axes.scatter([], [], color=color, label=network)
    for suffix, marker in ((".onnx", "o"), (".tflite", "^")):
        axes.scatter([], [], color="gray", marker=marker, label=_RUNTIME[suffix])
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set(xlabel="file, KiB", ylabel="UAR on the test utterances, %")
    axes.set_title("Exported files; CPU time as a multiple of the network's float32 ONNX file")
    axes.margins(0.1, 0.2)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
