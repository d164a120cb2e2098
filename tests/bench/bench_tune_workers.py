"""Two workers against one: `python tests/bench/bench_tune_workers.py [--pairs N]`.

Runs `dlcli tune --kfold 5` as a user does, with one and with two workers, in turn, from the start of the program to its
end; wall time and the CPU time of all its processes. The factor of wall times says something on a machine with two idle
cores only: the load is printed before each run, with the share of the two cores that the two workers really got. What
does not depend on the load: the CPU time that the second worker costs (imports, and populations that end unevenly).
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tomlkit
from bench_tune_cost import recipe
from interleaved import show


def tune(folder: Path, workers: int) -> tuple[float, float]:
    """Return wall and CPU seconds of one search."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "dlcli", "tune", str(folder / "recipe.toml"), "--workers", str(workers), "--new"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--trials", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    table = recipe(options.epochs, options.trials)
    factors, costs = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "recipe.toml").write_text(tomlkit.dumps(table))
        subprocess.run([sys.executable, "-c", "import dlcli.experiment.tune, optuna"], check=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"imports of a worker: {used.ru_utime + used.ru_stime:.2f} s of CPU")
        for _ in range(options.pairs):
            taken = {}
            for workers in (1, 2):
                load = os.getloadavg()[0]
                wall, cpu = taken[workers] = tune(folder, workers)
                spent = f"{wall:6.1f} s wall, {cpu:6.1f} s CPU, {cpu / wall / workers:.0%} of their cores"
                print(f"{workers} workers: {spent}; load before {load:.1f}")
            factors.append(taken[1][0] / taken[2][0])
            costs.append(taken[2][1] / taken[1][1])
    show("wall time, 1 worker / 2 workers", factors, "≥ 1.7 on two idle cores")
    show("CPU time, 2 workers / 1 worker", costs, "")
    print(f"on idle cores that CPU time comes to a factor of at most {2 / statistics.median(costs):.2f}")


if __name__ == "__main__":
    main()
