"""How numbers, durations and times are written for people."""

import math
from collections.abc import Mapping
from datetime import datetime


def number(value: float | None) -> str:
    """Return a figure with four decimals, or four significant digits where it is large or tiny; a dash for None."""
    if value is None:
        return "–"
    size = abs(value)
    if size == 0 or not math.isfinite(value):
        return f"{value:g}"
    if size < 1e-4 or size >= 1e6:
        return f"{value:.3e}"
    if size < 10:
        return f"{value:.4f}"
    return f"{value:,.{max(0, 3 - int(math.log10(size)))}f}"


def score_of(value: float | None) -> str:
    """Return a score as `number` does; a dash for NaN, too, which stands for a score that there is no row for."""
    return number(None if value is None or math.isnan(value) else value)


def rate(value: float) -> str:
    """Return a learning rate, such as `0.001` or `9.7e-04`."""
    return f"{value:g}" if f"{value:g}" == f"{value:.3g}" else f"{value:.1e}"


def duration(seconds: float | None) -> str:
    """Return a duration, such as `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`; a dash for None."""
    if seconds is None:
        return "–"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(when: datetime | None) -> str:
    """Return a time to the minute in its own time zone; a dash for None."""
    return "–" if when is None else when.strftime("%Y-%m-%d %H:%M")


def count_of(amount: int, noun: str) -> str:
    """Return an amount with its noun, such as `1 epoch` or `1,797 rows`."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def scaled(amount: float) -> str:
    """Return a count in thousands, millions and so on, such as `73.4 k`, `1.81 G`."""
    for unit in ("", " k", " M", " G", " T", " P"):
        if amount < 999.5 or unit == " P":
            break
        amount /= 1000
    return f"{amount:.3g}{unit}"


def shape(sizes: tuple[int, ...] | list[int]) -> str:
    """Return a shape, such as `3 × 8 × 8`; a dash where there is no dimension."""
    return " × ".join(map(str, sizes)) or "–"


def metrics(values: Mapping[str, float]) -> str:
    """Return figures in one line, such as `val_loss 0.1511  val_accuracy 0.9610`."""
    return "  ".join(f"{name} {number(value)}" for name, value in values.items())


def byte_size(amount: int) -> str:
    """Return a size in bytes, such as `36 kB` or `1.2 GB`."""
    size = float(amount)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 999.5 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if size >= 10 or unit == "bytes" else f"{size:.1f} {unit}"
