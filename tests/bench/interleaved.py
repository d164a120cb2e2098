"""Ratios of CPU time, measured interleaved: each pair runs one after the other, so the machine's drift cancels."""

import statistics
import time
from collections.abc import Callable, Mapping

PAIRS = 21


def median_interval(values: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median from order statistics (binomial, no assumption on the distribution)."""
    ordered, n = sorted(values), len(values)
    below, rank, total = 0.0, 0, 0.5**n
    while below + total <= 0.025:
        below += total
        rank += 1
        total *= (n - rank + 1) / rank
    return ordered[max(rank - 1, 0)], ordered[n - max(rank, 1)]


def ratios(
    work: Mapping[str, Callable[[], None]], base: str, *, pairs: int = PAIRS, clock: Callable[[], float] | None = None
) -> dict[str, list[float]]:
    """Run every piece of work in turn, `pairs` times after one warm-up; return its CPU time over that of `base`."""
    clock = clock or time.process_time
    for run in work.values():
        run()
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(pairs):
        for name, run in work.items():
            start = clock()
            run()
            taken[name].append(clock() - start)
    for name, times in taken.items():
        print(f"{name:<28} {statistics.median(times):9.4f} s median")
    return {
        name: [mine / other for mine, other in zip(times, taken[base], strict=True)]
        for name, times in taken.items()
        if name != base
    }


def show(title: str, values: list[float], bound: str) -> None:
    """Print the median of ratios with its 95 % interval beside the bound that is asked for."""
    low, high = median_interval(values)
    print(f"{title}: {statistics.median(values):.3f}  [{low:.3f}, {high:.3f}]  asked for: {bound}")
