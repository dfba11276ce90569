"""The learning curve of docs/own-data.md: its table and its picture, from the figures of `measure`."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

CHANCE = 100 / 8  # of RAVDESS's labels
_SECTION = re.compile(
    r"(<!-- curve: made by python -m train.own_data.measure -->\n).*?(<!-- end of curve -->)", re.DOTALL
)
_COLOURS = ("#0072b2", "#d55e00")  # of the networks, in the order of the results
_STYLES = (("other_speakers", "other speakers", "-"), ("same_speakers", "the same speakers", "--"))


@dataclass(frozen=True)
class Result:
    """One training: a point of the curve."""

    network: str
    count: int  # recordings of a label, where the corpus has so many
    repeat: int  # of the experiment, from 0
    recordings: int  # in all
    same_speakers: float  # UAR in percent, on other recordings of the speakers
    other_speakers: float  # UAR in percent
    cpu_seconds: float  # of the training, decoding and features included


def table(results: Sequence[Result]) -> str:
    """Markdown: a row a count, and the figures of each network."""
    networks = list(dict.fromkeys(result.network for result in results))
    titles = [f"`{name}`: {what}" for name in networks for what in ("other speakers", "same speakers", "CPU")]
    lines = [" | ".join(["| recordings a label", "in all", *titles]) + " |", "|---|---|" + "---|" * len(titles)]
    for count in sorted({result.count for result in results}):
        of_count = [result for result in results if result.count == count]
        cells = [f"{count}", f"{max(result.recordings for result in of_count)}"]
        for name in networks:
            chosen = [result for result in of_count if result.network == name]
            cells += [
                _percent(result.other_speakers for result in chosen),
                _percent(result.same_speakers for result in chosen),
                f"{mean(result.cpu_seconds for result in chosen):.0f} s" if chosen else "",
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def with_table(page: str, results: Sequence[Result]) -> str:
    """A page's text with the table between its markers."""
    return _SECTION.sub(lambda match: f"{match[1]}\n{table(results)}\n{match[2]}", page)


def draw(results: Sequence[Result], path: Path) -> None:
    """Draws UAR by recordings of a label, a line for each network and test."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.add_subplot()
    counts = sorted({result.count for result in results})
    for color, network in zip(_COLOURS, dict.fromkeys(result.network for result in results), strict=False):
        for field, name, style in _STYLES:
            points = {
                count: mean(values)
                for count in counts
                if (values := [getattr(r, field) for r in results if (r.network, r.count) == (network, count)])
            }
            axes.plot(list(points), list(points.values()), style, color=color, marker="o", label=f"{network}, {name}")
    axes.axhline(CHANCE, color="#767676", linewidth=0.9, linestyle=":", label="chance")
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count}" for count in counts])
    axes.minorticks_off()
    axes.set(xlabel="recordings of each of 8 labels", ylabel="UAR, %", ylim=(0, 100))
    axes.grid(axis="y", linewidth=0.4)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def _percent(values: Iterable[float]) -> str:
    """The mean, and the range if there are several."""
    known = sorted(values)
    if not known:
        return ""
    several = f" ({known[0]:.0f}, {known[-1]:.0f})" if len(known) == 2 else ""
    several = f" ({known[0]:.0f} to {known[-1]:.0f})" if len(known) > 2 else several
    return f"{mean(known):.1f}{several}"
