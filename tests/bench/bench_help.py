"""How long `dlcli --help` takes, as a ratio to a ten-line typer and rich app: `python tests/bench/bench_help.py`.

CPU time of child processes, so that other work on the machine counts less; both are measured in turn, a pair at a
time, and the interval is that of the median ratio over pairs (order statistics of the binomial, exact).
"""

import math
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PAIRS = int(sys.argv[1]) if len(sys.argv) > 1 else 31
ALLOWED = 1.3
TEN_LINES = [sys.executable, str(Path(__file__).with_name("ten_line_app.py")), "--help"]
DLCLI = [sys.executable, "-c", "from dlcli.cli.app import main; main()", "--help"]


def cpu_seconds(command: Sequence[str]) -> float:
    """Return user and system time of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "100"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return an interval that holds the true median with a chance of 95 % at least."""
    ordered, count = sorted(values), len(values)
    tail, rank = 0.0, 0
    while tail + math.comb(count, rank) / 2**count <= 0.025:
        tail += math.comb(count, rank) / 2**count
        rank += 1
    return ordered[rank - 1], ordered[count - rank]


def main() -> None:
    """Measure and print."""
    cpu_seconds(TEN_LINES)
    cpu_seconds(DLCLI)
    base, ours = [], []
    for pair in range(PAIRS):
        order = [(base, TEN_LINES), (ours, DLCLI)]
        for into, command in order if pair % 2 else reversed(order):
            into.append(cpu_seconds(command))
    ratios = [mine / theirs for mine, theirs in zip(ours, base, strict=True)]
    low, high = median_interval(ratios)
    print(f"ten-line app  {1000 * statistics.median(base):.0f} ms of CPU, median of {PAIRS}")
    print(f"dlcli --help  {1000 * statistics.median(ours):.0f} ms of CPU, median of {PAIRS}")
    print(f"ratio         {statistics.median(ratios):.3f} [{low:.3f}, {high:.3f}] (95 %), allowed {ALLOWED}")


if __name__ == "__main__":
    main()
