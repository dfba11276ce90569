"""Sides of a comparison in one process, measured in turn.

Two things that are measured one after the other meet different moments of a busy machine. So every side gets many short
turns, in an order drawn anew for each turn, and medians are compared. CPU time is that of the whole process, threads
included. Sides that are separate processes are in `child`.
"""

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["Figures", "in_turn", "medians", "shuffled"]

_LONG = 0.1  # seconds
Figures = dict[str, float]  # "cpu" and "wall" in seconds, "memory" and "size" in bytes, "spread" as a share, ...


def in_turn(
    sides: Mapping[str, Callable[[], Any]], turns: int, calls: int = 1, items: int = 1, warm: bool = True
) -> dict[str, Figures]:
    """Medians of the CPU and wall time of one call.

    Args:
        sides: what to call, by name.
        turns: of each side.
        calls: in a turn, one after the other; a side that takes long gets one. With more than one, another that isn't
            counted comes first: it brings the side's data back into the processor's caches, which the other sides have
            used meanwhile.
        items: that a call works on; times are divided by it.
        warm: call each side once before anything counts.
    """
    slow = set()
    for name, call in sides.items() if warm else ():
        call()
        started = time.perf_counter()
        if calls > 1:
            call()
        if time.perf_counter() - started > _LONG:
            slow.add(name)
    measured: dict[str, list[Figures]] = {name: [] for name in sides}
    for turn in range(turns):
        for name in shuffled(sides, turn):
            call, times = sides[name], 1 if name in slow else calls
            if times > 1:
                call()
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(times):
                call()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            measured[name].append({"cpu": cpu / times / items, "wall": wall / times / items})
    return {name: medians(figures) for name, figures in measured.items()}


def shuffled(names: Mapping[str, Any], turn: int) -> list[str]:
    """The names in this turn's order; the same in every run."""
    return random.Random(turn).sample(list(names), len(names))


def medians(figures: Sequence[Figures]) -> Figures:
    """Of each figure; and "spread", the middle half of the CPU (or wall) times, as a share of the median."""
    result = {key: statistics.median(each[key] for each in figures) for key in figures[0]}
    key = "cpu" if "cpu" in result else "wall"
    if len(figures) > 2 and result.get(key):
        low, _, high = statistics.quantiles((each[key] for each in figures), n=4)
        result["spread"] = (high - low) / result[key]
    return result
