"""Shares as people read them: `68 %` everywhere, and bars as long as the figure beside them says."""

__all__ = ["as_printed", "percent"]


def percent(share: float, digits: int = 0) -> str:
    """A share in percent, in words.

    >>> percent(0.684), percent(1 / 8, digits=1)
    ('68 %', '12.5 %')
    """
    return f"{100 * share:.{digits}f} %"


def as_printed(share: float) -> float:
    """The share that `percent` prints: what is drawn beside the figure is drawn of this.

    >>> as_printed(0.8462) == as_printed(0.8537) == 0.85
    True
    """
    return float(f"{100 * share:.0f}") / 100
