"""The table of exported files as JSON, Markdown and a plot: a row for each network, format and precision."""

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
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ser_edge.models.loader import open_model
from ser_export.verification.operators import operators, runtimes
from ser_export.verification.verify import VerificationReport

matplotlib.use("Agg")  # files only: no screen is needed

_ROUNDS, _WARM_UP = 45, 5  # inferences of each file in turn; the first ones don't count
_HEADER = (
    "| network | format | weights | KiB | differs by | labels changed | accuracy (Keras), % | UAR (Keras), % | "
    "macro-F1 (Keras), % | CPU, float32 ONNX = 1 | CPU, Keras predict = 1 | read by |"
)
_COLUMNS = _HEADER.count("|") - 1


@dataclass(frozen=True)
class ExportResult:
    """A row of `results.json`; the figures are None where no file was made."""

    network: str
    format: str  # "onnx" or "tflite"
    precision: str
    status: str  # "proven" (verified), or why there is no file
    protocol: str = ""  # that selected the test utterances
    bytes: int | None = None
    max_difference: float | None = None  # of a probability from Keras's
    labels_changed: int | None = None
    inputs: int | None = None  # on which answers were compared
    utterances: int | None = None  # on which accuracy, UAR and macro-F1 were measured
    wa: float | None = None  # percent
    wa_keras: float | None = None
    uar: float | None = None
    uar_keras: float | None = None
    f1: float | None = None
    f1_keras: float | None = None
    relative_cpu: float | None = None  # CPU time of an inference; the network's float32 ONNX file, if made, is 1
    relative_cpu_keras: float | None = None  # the same; `keras.Model.predict` is 1
    operators: dict[str, int] | None = None  # names and versions
    runtimes: tuple[str, ...] = ()  # that support these operators
    corpus: str = ""  # `ModelMetadata.corpus`
    labels: int = 0  # how many the network has

    @classmethod
    def verified(
        cls, network: str, path: Path, precision: str, protocol: str, report: VerificationReport
    ) -> "ExportResult":
        """The row of a file that passed its verification."""
        figures = asdict(report)
        for side, suffix in (("file", ""), ("keras", "_keras")):
            figures |= {f"{name}{suffix}": round(score, 2) for name, score in figures.pop(side).items()}
        figures |= {"bytes": path.stat().st_size, "operators": operators(path), "runtimes": runtimes(path)}
        return cls(network, path.suffix[1:], precision, "proven", protocol, **figures)


def relative_cpu(
    files: Sequence[Path], reference: Path | None, model: keras.Model, features: npt.NDArray[np.float32]
) -> dict[Path, tuple[float | None, float]]:
    """CPU time of an inference of one utterance, measured in turn in this process.

    Args:
        files: of one network.
        reference: the one of these that is its float32 ONNX file; None if it wasn't made.
        model: the network in Keras.
        features: (n, frames, coefficients), not normalised.

    Returns:
        For each file: (times the reference's, times `keras.Model.predict`'s); None without a reference.
    """
    opened = {path: open_model(path) for path in files}
    seconds: dict[Path | None, list[float]] = {path: [] for path in (*files, None)}
    inputs = opened[files[0]].metadata.inputs(features)  # normalised; a file does that itself
    sides: list[tuple[Path | None, Callable[..., object], npt.NDArray[np.float32]]] = [
        *((path, file.probabilities, features) for path, file in opened.items()),
        (None, partial(model.predict, verbose=0), inputs),
    ]
    random = np.random.default_rng(0)
    for repeat in range(_ROUNDS):
        row = repeat % len(features)
        for side in random.permutation(len(sides)):  # after Keras, caches are cold
            path, infer, items = sides[side]
            started = time.process_time()
            infer(items[row : row + 1])
            seconds[path].append(time.process_time() - started)
    medians = {path: median(values[_WARM_UP:]) for path, values in seconds.items()}
    return {
        path: (medians[path] / medians[reference] if reference else None, medians[path] / medians[None])
        for path in files
    }


def write_report(results: Sequence[ExportResult], folder: Path) -> None:
    """`results.json`, `results.md` and `results.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n", "utf-8")
    (folder / "results.md").write_text(markdown(results), "utf-8")
    draw_figure(results).savefig(folder / "results.png", dpi=120)


def markdown(results: Sequence[ExportResult]) -> str:
    """The table, and a note on what accuracy was measured on."""
    lines = [_HEADER, "|---" * _COLUMNS + "|"]
    for c in results:
        start = f"| `{c.network}` | {c.format} | {c.precision} | "
        if c.bytes is None:
            lines.append(f"{start}- | {c.status} |{' |' * (_COLUMNS - 5)}")
            continue
        cpu = "" if c.relative_cpu is None else f"{c.relative_cpu:.2f}"
        cpu_keras = "" if c.relative_cpu_keras is None else f"1/{1 / c.relative_cpu_keras:.0f}"
        pairs = ((c.wa, c.wa_keras), (c.uar, c.uar_keras), (c.f1, c.f1_keras))
        percent = [f"{file:.1f} ({of_keras:.1f})" for file, of_keras in pairs]
        lines.append(
            f"{start}{c.bytes / 1024:.0f} | {c.max_difference:.1e} | {c.labels_changed} of {c.inputs} | "
            f"{' | '.join(percent)} | {cpu} | {cpu_keras} | {', '.join(c.runtimes)} |"
        )
    measured = {(c.protocol, c.utterances) for c in results if c.bytes is not None}
    notes = "; ".join(
        f"by protocol `{protocol}`, {count} test utterances, 1 seed"
        if protocol
        else f"of {count} utterances of the training set, so it says nothing about new speakers"
        for protocol, count in sorted(measured)
    )
    return "\n".join([*lines, "", f"Accuracy {notes}." if notes else ""]) + "\n"


def draw_figure(results: Sequence[ExportResult]) -> Figure:
    """Plots size and UAR of each file in a row of its own, grouped by network.

    Not as points in a plane: many files have nearly the same size and UAR, and their names would overlap.
    """
    made = [result for result in results if result.bytes is not None]
    networks = {name: [c for c in made if c.network == name] for name in dict.fromkeys(c.network for c in made)}
    networks = networks or {"": []}
    heights = [len(files) + 1.5 for files in networks.values()]
    figure = Figure(figsize=(11, 0.24 * sum(heights) + 1.6), layout="constrained")
    panels = figure.subplots(len(networks), 2, squeeze=False, sharex="col", height_ratios=heights, width_ratios=(3, 2))
    for (network, files), (sizes, uars) in zip(networks.items(), panels, strict=True):
        rows = range(len(files))
        colors = ["C0" if c.format == "onnx" else "C1" for c in files]
        kib = [(c.bytes or 0) / 1024 for c in files]
        cpu = [f", CPU {c.relative_cpu:.1f}x" if c.relative_cpu else "" for c in files]
        bars = sizes.barh(rows, kib, color=colors, height=0.7)
        sizes.bar_label(bars, [f"{k:.0f} KiB{c}" for k, c in zip(kib, cpu, strict=True)], padding=3, fontsize=8)
        sizes.set_yticks(rows, [c.precision for c in files], fontsize=8)
        sizes.set_title(network, loc="left")
        sizes.margins(x=0.3)  # room for the labels
        for row, result, color in zip(rows, files, colors, strict=True):
            uars.plot(result.uar, row, marker="o" if result.format == "onnx" else "^", color=color, ls="")
            place = {"xytext": (7, 0), "textcoords": "offset points", "va": "center"}
            uars.annotate(f"{result.uar:.1f}", (result.uar, row), fontsize=8, **place)
        if files:
            uars.axvline(files[0].uar_keras, color="gray", lw=0.8, ls=":")
        uars.set_yticks([])
        uars.set_xlim(0, 112)  # room for a label right of 100
        uars.set_xticks(range(0, 101, 20))
        for axes in (sizes, uars):
            axes.set_ylim(len(files) - 0.4, -0.6)  # the first on top
            axes.grid(axis="x", alpha=0.3)
    panels[-1, 0].set_xlabel("file, KiB")
    panels[-1, 1].set_xlabel("UAR on the test utterances, %")
    handles = [
        Line2D([], [], color=color, marker=marker, ls="", label=name)
        for color, marker, name in (("C0", "o", "ONNX Runtime"), ("C1", "^", "LiteRT"))
    ]
    handles.append(Line2D([], [], color="gray", lw=0.8, ls=":", label="Keras"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    compared = any(result.relative_cpu for result in made)
    figure.suptitle("Exported files" + "; CPU time as a multiple of the network's float32 ONNX file" * compared)
    return figure
