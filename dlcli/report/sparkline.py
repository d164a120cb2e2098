"""Pictures of numbers that fit into a line of text."""

import math
from collections.abc import Sequence

LEVELS = "▁▂▃▄▅▆▇█"
EIGHTHS = " ▏▎▍▌▋▊▉"
DECADES = 10.0
"""Positive values that span more than this factor are drawn by their logarithm."""


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """Return a line of bars as high as the values: a falling loss falls.

    Args:
        values: The values, oldest first; those that are not finite are left out.
        width: Most characters. More values than that are thinned: each bar stands for the last value of its part, and
            the last bar for the last value.

    Returns:
        One character a bar, in the middle where all values are equal; empty without a finite value.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite or width < 1:
        return ""
    bars = min(width, len(finite))
    kept = [finite[(bar + 1) * len(finite) // bars - 1] for bar in range(bars)]
    if min(kept) > 0 and max(kept) / min(kept) > DECADES:
        kept = [math.log(value) for value in kept]
    low, high = min(kept), max(kept)
    # Halves, because the difference of the largest floats overflows.
    span = high / 2 - low / 2
    if span == 0:
        return LEVELS[3] * bars
    return "".join(LEVELS[round((value / 2 - low / 2) / span * (len(LEVELS) - 1))] for value in kept)


def bar(share: float, width: int) -> str:
    """Return a horizontal bar for a share in [0, 1] of `width` characters, to an eighth of a character."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def histogram_line(counts: Sequence[int]) -> str:
    """Return a line of bars as high as counts are: the largest is full, and a bar is seen wherever there is any."""
    most = max(counts, default=0)
    return "".join(LEVELS[max(0, math.ceil(count / most * len(LEVELS)) - 1)] if count else " " for count in counts)
