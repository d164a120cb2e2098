"""CPU time of `dlcli train` until its first batch, beyond a script that imports torch and makes one Adam.

`python tests/bench/bench_start.py`: both in turn, a fresh process each; asked for: at most 0.6 s more.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from interleaved import median_interval

PAIRS = int(sys.argv[1]) if len(sys.argv) > 1 else 15
RECIPE = Path(__file__).parents[2] / "recipes/digits/mlp.toml"
BARE = "import torch; torch.optim.Adam([torch.zeros(1, requires_grad=True)])"
UNTIL_FIRST_BATCH = f"""
import os, sys
from dlcli.cli.app import main
import dlcli.training.step as step
step.Step.__call__ = lambda self, batch: os._exit(0)
sys.argv = ["dlcli", "train", {str(RECIPE)!r}, "-q"]
main()
"""


def cpu_seconds(code: str, folder: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for code in (BARE, UNTIL_FIRST_BATCH):
            cpu_seconds(code, folder)
        pairs = [(cpu_seconds(BARE, folder), cpu_seconds(UNTIL_FIRST_BATCH, folder)) for _ in range(PAIRS)]
    extra = [ours - bare for bare, ours in pairs]
    low, high = median_interval(extra)
    print(f"torch and one Adam: {statistics.median(bare for bare, _ in pairs):.3f} s median")
    print(f"dlcli train until its first batch: {statistics.median(ours for _, ours in pairs):.3f} s median")
    print(f"more: {statistics.median(extra):.3f} s  [{low:.3f}, {high:.3f}]  asked for: ≤ 0.6 s")


if __name__ == "__main__":
    main()
