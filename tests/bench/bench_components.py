"""CPU time of importing every component, beyond importing torch.

`python tests/bench/bench_components.py`: both in turn, a fresh process each; asked for: at most 0.3 s more. Bytecode is
cached, as in an installation that has run once. On a busy machine all takes longer: torch's own import is shown beside.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile

from interleaved import median_interval

PAIRS = int(sys.argv[1]) if len(sys.argv) > 1 else 15
BARE = "import torch"
ALL = """
import torch
from dlcli.plugins import load_plugins
registry = load_plugins().registry
for entry in registry.entries():
    entry.load()
"""


def cpu_seconds(code: str, cache: str) -> float:
    environment = {**os.environ, "DLCLI_PLUGINS": "", "OMP_NUM_THREADS": "1", "PYTHONPYCACHEPREFIX": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        for code in (BARE, ALL):
            cpu_seconds(code, cache)
        pairs = [(cpu_seconds(BARE, cache), cpu_seconds(ALL, cache)) for _ in range(PAIRS)]
    extra = [ours - bare for bare, ours in pairs]
    low, high = median_interval(extra)
    print(f"torch: {statistics.median(bare for bare, _ in pairs):.3f} s median")
    print(f"all components more: {statistics.median(extra):.3f} s  [{low:.3f}, {high:.3f}]  asked for: ≤ 0.3 s")


if __name__ == "__main__":
    main()
