"""Fonts for labels and names of any script: matplotlib's own lack Chinese, Japanese, Korean and Indic characters."""

import warnings
from functools import cache

import matplotlib
from matplotlib.font_manager import fontManager, get_font

from ser_edge.errors.user_warnings import warn

_BOXES = "Last Resort High-Efficiency"  # comes with matplotlib, and has a box for every character


@cache
def use_fonts_for(text: str) -> None:
    """Lets pictures take characters that matplotlib's font lacks from installed ones, and warns of those nowhere."""
    families: list[str] = list(matplotlib.rcParams["font.family"])
    missing = {character for character in text if not character.isspace()}
    regular = ("normal", "normal", 400)
    entries = [f for f in fontManager.ttflist if (f.style, f.stretch, f.weight) == regular and f.name != _BOXES]
    for entry in sorted(entries, key=lambda entry: (entry.name != "DejaVu Sans", "Sans" not in entry.name, entry.name)):
        if not missing:
            break
        found = {character for character in missing if ord(character) in get_font(entry.fname).get_charmap()}
        missing -= found
        if found and entry.name != "DejaVu Sans":  # which is matplotlib's "sans-serif"
            families.append(entry.name)
    matplotlib.rcParams["font.family"] = list(dict.fromkeys(families))
    if missing:
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from font", UserWarning)
        warn(f"no installed font has {''.join(sorted(missing))}: pictures show boxes instead; install one")
