"""An axis: where values lie on it, and which of them are written beside it."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

DECADES = 10.0
"""Positive scores that span more than this factor are shown on a logarithmic axis."""
SMALLEST = 1e-300
"""Below this, differences are none: floats lose their digits there."""
LARGEST = 1e300
"""Values beyond it are not drawn: differences of larger ones overflow."""
MARGIN = 0.05
"""Part of the span that is left free at both ends, so that no mark is cut by the frame."""


@dataclass(frozen=True)
class Axis:
    """Maps values to pixels.

    Args:
        low: Smallest value; > 0 where `log`.
        high: Largest value, > low.
        start: Pixel of `low`.
        end: Pixel of `high`; smaller than `start` for an axis that goes up.
        log: Whether the logarithm counts.
        whole: Whether only whole numbers are written beside it.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    whole: bool = False

    def place(self, value: float) -> float:
        """Return the pixel of a value; that of the nearer end for values outside."""
        low, high, value = (
            math.log(each) if self.log else each for each in (self.low, self.high, self._clamped(value))
        )
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Return round values from one end to the other, `most` or fewer, each with how it is written."""
        values = log_ticks(self.low, self.high, most) if self.log else []
        if len(values) < 2:
            values = linear_ticks(self.low, self.high, most, whole=self.whole)
        if self.whole:
            values = [value for value in values if float(value).is_integer()]
        return list(zip(values, labels(values), strict=True))

    def _clamped(self, value: float) -> float:
        return min(max(value, self.low), self.high)


def spanning(
    values: Sequence[float], start: float, end: float, *, log: bool | None = None, whole: bool = False
) -> Axis:
    """Return an axis on which all values have their place, with some room at both ends.

    Args:
        values: The values, one at least; all within ±`LARGEST`.
        start: Pixel of its low end.
        end: Pixel of its high end.
        log: Whether the logarithm counts; None: where all values are positive and span more than a decade.
        whole: Whether only whole numbers are written beside it.

    Returns:
        The axis; with some room on both sides where all values are equal.
    """
    low, high = min(values), max(values)
    if log is None:
        log = low > 0 and high / low > DECADES
    if log:
        room = MARGIN * math.log(high / low) or math.log(1.5)
        # A range that ends at the largest or smallest float must not grow beyond it.
        low, high = max(low / math.exp(room), 5e-324), min(high * math.exp(room), sys.float_info.max)
        return Axis(low, high, start, end, log=True, whole=whole)
    span = high - low
    # Differences that are mere rounding are none; nor would ticks that fine differ, nor can floats divide the smallest.
    if span <= max(1e-9 * max(abs(low), abs(high)), SMALLEST):
        room = 0.5 if whole else abs(high) / 10 if abs(high) > 10 * SMALLEST else 0.1
        return Axis(low - room, high + room, start, end, whole=whole)
    return Axis(low - MARGIN * span, high + MARGIN * span, start, end, whole=whole)


def linear_ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten within [low, high], `most` (≥ 2) or fewer."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    if whole:
        power = max(power, 1.0)
    for step in (power * factor for factor in (1, 2, 5, 10, 20)):
        # 0.3 / 0.1 is a little less than 3.
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            # Where floats lie no closer than the step, two places may be one value.
            return sorted({place * step for place in range(first, last + 1)})
    return [low, high]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return round values that are even on a logarithmic axis: powers of ten, or 1, 2 and 5 times them.

    Args:
        low: Smallest value, > 0.
        high: Largest value, > low.
        most: Most values, ≥ 2.

    Returns:
        The values within [low, high]; fewer than two where these lie too close together for such steps.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1, 2, 5), (1, 3)):
        fine = [float(f"{factor}e{power}") for power in range(first, last + 1) for factor in factors]
        fine = [value for value in fine if low <= value <= high]
        if len(fine) <= most:
            return fine
    powers = [power for power in range(first, last + 1) if low <= float(f"1e{power}") <= high]
    stride = max(math.ceil(len(powers) / most), 1)
    # Multiples of the stride, so that 1 is among them where it is in the range.
    even = [power for power in powers if power % stride == 0]
    if len(even) < 2 <= len(powers):
        even = [powers[0], powers[-1]]
    return [float(f"1e{power}") for power in even]


def labels(values: Sequence[float]) -> list[str]:
    """Return the values as text, short and all to the same place where none is tiny or huge."""
    sizes = [abs(value) for value in values if value]
    if not sizes:
        return ["0" for _ in values]
    if max(sizes) / min(sizes) >= 99 or max(sizes) >= 1e5 or max(sizes) < 1e-3:
        return [_compact(value) for value in values]
    places = max((_places(value) for value in values), default=0)
    return [f"{value:.{places}f}" if value else "0" for value in values]


def _places(value: float) -> int:
    """Decimals that a round number needs, at most 8."""
    return next((places for places in range(8) if math.isclose(round(value, places), value, rel_tol=1e-9)), 8)


def _compact(value: float) -> str:
    text = f"{value:.6g}" if 1e-3 <= abs(value) < 1e5 or not value else f"{value:.6e}"
    mantissa, mark, exponent = text.partition("e")
    if not mark:
        return text
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"
