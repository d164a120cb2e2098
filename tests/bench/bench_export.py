"""`dlcli export` of the digits bag of ten: `python tests/bench/bench_export.py`.

Trains recipes/digits/bagging.toml, then times the whole command for each format, one torch thread, and compares the
file with the run's weights. Bounds: 30 s, 1.1 times the weights (aoti holds machine code beside them).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPE = Path(__file__).parents[2] / "recipes/digits/bagging.toml"
FORMATS = ("pt2", "onnx", "safetensors", "aoti")


def dlcli(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "dlcli", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dlcli(folder, "ensemble", str(RECIPE), "-q")
        for format in FORMATS:
            before, start = os.times(), time.perf_counter()
            found = json.loads(dlcli(folder, "export", "digits-bagging", "--format", format, "--json"))
            after, wall = os.times(), time.perf_counter() - start
            cpu = after.children_user + after.children_system - before.children_user - before.children_system
            share = found["bytes"] / found["weight_bytes"]
            parity = found["parity"]["share_of_allowed"]
            print(
                f"{format:12} {wall:5.1f} s, {cpu:5.1f} s of CPU; {found['bytes']:>9,} bytes, {share:.3f} of the "
                f"weights; worst difference {parity:.3f} of what is allowed"
            )


if __name__ == "__main__":
    main()
