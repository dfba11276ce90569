"""`results.png`: how many times less ser-edge costs, a bar a headline, on a logarithmic scale, with the aims."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl

from report.aims import Finding
from report.page import shown, times

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

__all__ = ["draw"]

_REACHED, _MISSED, _FREE, _GREY = "#2a7f62", "#c8553d", "#7d8ca3", "#5f6b7a"
_TICKS = 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000
_ROW, _GAP = 0.30, 0.55  # inches of a bar, and rows between two cases


def draw(findings: Sequence[Finding], path: Path, caption: str) -> None:
    """Draws the headlines that have figures.

    Args:
        findings: in the order of the page; those of a case stand together.
        path: the PNG.
        caption: the machine and the date.
    """
    places = [0.0]
    for before, after in pairwise(findings):
        places.append(places[-1] + 1 + _GAP * (before.headline.case != after.headline.case))
    figure, axes = plt.subplots(figsize=(10.5, 1.8 + _ROW * (places[-1] + 1)))
    for place, finding in zip(places, findings, strict=True):
        colour = {None: _FREE, True: _REACHED, False: _MISSED}[finding.reached]
        axes.barh(place, finding.ratio - 1, left=1, color=colour, height=0.78)
        aim = _aimed(finding)
        if aim:
            axes.plot([aim, aim], [place - 0.48, place + 0.48], color="black", linewidth=1.6)
        end = max(finding.ratio, 1, aim or 1), place
        theirs, ours = (shown(finding.headline.metric, value) for value in (finding.theirs, finding.ours))
        words = partial(axes.annotate, xy=end, textcoords="offset points", va="center")
        words(f"{times(finding.ratio)} x", xytext=(5, 0), fontsize=8.5, weight="bold")
        words(f"{theirs} → {ours}", xytext=(48, 0), fontsize=7.5, color=_GREY)
    axes.set_yticks(places, [finding.headline.what.replace("`", "") for finding in findings], fontsize=8.5)
    axes.set_xscale("log")
    axes.set_ylim(places[-1] + 0.8, -1.9)  # the first bar on top, and room for the legend above it
    shown_ratios = [1.0, *(finding.ratio for finding in findings), *(_aimed(finding) or 1.0 for finding in findings)]
    axes.set_xlim(min(shown_ratios) * 0.9, max(shown_ratios) * 20)  # room for the words behind the longest bar
    ticks = [tick for tick in _TICKS if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.axvline(1, color=_GREY, linewidth=0.8)
    axes.grid(axis="x", color="#e4e7eb", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    axes.set_xlabel(f"times less than the other way (logarithmic)\n{caption}", fontsize=8)
    meanings = {_REACHED: "aim reached", _MISSED: "aim missed", _FREE: "no aim"}
    keys = [Patch(color=colour, label=label) for colour, label in meanings.items()]
    line = Line2D([], [], color="black", linewidth=1.6, label="the aim")
    axes.legend(
        handles=[*keys, line],
        loc="upper center",
        bbox_to_anchor=(0.4, 1.01),
        ncols=4,
        fontsize=8,
        edgecolor="none",
        framealpha=1,
    )
    figure.suptitle("What ser-edge costs, beside what people would use instead", fontsize=11, x=0.5)
    figure.tight_layout()
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)


def _aimed(finding: Finding) -> float | None:
    """The aim as times less."""
    aim = finding.headline.aim
    if aim is None:
        return None
    return aim.ratio if aim.ratio is not None else finding.theirs / (aim.most or finding.theirs)
