"""CPU time of importing every component, beyond importing torch.

`python tests/bench/bench_components.py`: fresh processes, each of which imports torch, then all components, and
reads its own clock between; asked for: at most 0.3 s more. Bytecode is cached, as in an installation that has run once.
Machines differ: torch's own import is shown beside, and the ratio of the two.
"""

import os
import statistics
import subprocess
import sys
import tempfile

from interleaved import median_interval

PROCESSES = int(sys.argv[1]) if len(sys.argv) > 1 else 15
IMPORTS = """
import gc, time
import torch
gc.collect()  # what torch has left to be collected is not ours
before = time.process_time()
from dlcli.plugins import load_plugins
for entry in load_plugins().registry.entries():
    entry.load()
print(before, time.process_time() - before)
"""


def cpu_seconds(cache: str) -> tuple[float, float]:
    """Return what torch took, and then all components, in a process of their own."""
    environment = {**os.environ, "DLCLI_PLUGINS": "", "OMP_NUM_THREADS": "1", "PYTHONPYCACHEPREFIX": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", IMPORTS]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    bare, ours = map(float, told.split())
    return bare, ours


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        cpu_seconds(cache)
        pairs = [cpu_seconds(cache) for _ in range(PROCESSES)]
    print(f"torch: {statistics.median(bare for bare, _ in pairs):.3f} s median")
    for what, values in (
        ("all components more: {} s  [{}, {}]  asked for: ≤ 0.3 s", [ours for _, ours in pairs]),
        ("of torch's own import: {}  [{}, {}]  0.3 s is 0.25 where torch takes 1.2 s", [b / a for a, b in pairs]),
    ):
        print(what.format(*(f"{value:.3f}" for value in (statistics.median(values), *median_interval(values)))))


if __name__ == "__main__":
    main()
