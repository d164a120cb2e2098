"""Importing a large CSV: `python tests/bench/bench_import.py [--megabytes 4000]`.

Writes a CSV of numbers, categories and a target of about that size, imports it in a process of its own, and prints the
peak of its memory (asked for: ≤ 500 MB, whatever the size) and the speed.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

COLUMNS, BLOCK = 20, 20_000
CODE = """
import sys
from pathlib import Path
from dlcli.experiment.import_data import import_data
made = import_data(Path(sys.argv[1]), Path(sys.argv[2]), parameters={"target": "label"}, test=0.1)
lines = open("/proc/self/status").read().splitlines()
print(made.rows, next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000)
"""


def write(path: Path, megabytes: int) -> None:
    generator = np.random.default_rng(0)
    with path.open("w") as file:
        file.write(",".join([f"c{place}" for place in range(COLUMNS)] + ["color", "label"]) + "\n")
        colors, labels = np.array(["red", "green", "blue", ""]), np.array(["yes", "no"])
        while file.tell() < megabytes * 10**6:
            numbers = generator.normal(size=(BLOCK, COLUMNS))
            texts = [",".join(row) for row in np.char.mod("%.6f", numbers)]
            color, label = colors[generator.integers(0, 4, BLOCK)], labels[generator.integers(0, 2, BLOCK)]
            file.writelines(f"{text},{c},{kind}\n" for text, c, kind in zip(texts, color, label, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[50, 500])
    options = parser.parse_args()
    for megabytes in options.megabytes:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "large.csv")
            write(source, megabytes)
            start = time.perf_counter()
            command = [sys.executable, "-c", CODE, str(source), f"{folder}/out.h5"]
            rows, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            seconds = time.perf_counter() - start
            print(
                f"{megabytes} MB, {int(rows):,} rows: peak {float(peak):.0f} MB, {seconds:.0f} s, "
                f"{megabytes / seconds:.1f} MB/s, {Path(folder, 'out.h5').stat().st_size / 10**6:.0f} MB left"
            )


if __name__ == "__main__":
    main()
