"""`dlcli predict` against a bare script: `python tests/bench/bench_predict.py [--rows 1000000] [--pairs 11]`.

An MLP 64-128-128-10 ReLU on standardised features; uncompressed float32 HDF5 in, `probabilities` and `prediction` as
HDF5 out. The bare script does what a person would write for this one file: reads as many rows at once as dlcli does,
runs preprocessing and network in the same batch size, and writes the same datasets; it checks nothing. Both in one
process, one torch thread, interleaved. Then the peak memory of a process of its own over 0.1 and over all rows.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import torch
from interleaved import ratios, show

import dlcli
from dlcli.experiment.prediction.stream import BATCH_SIZE, BLOCK_BYTES
from dlcli.experiment.train import train
from dlcli.plugins import load_plugins

FEATURES, CLASSES = 64, 10


def write(path: Path, rows: int, *, labels: bool = False) -> Path:
    generator = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        x = file.create_dataset("x", (rows, FEATURES), "float32")
        for start in range(0, rows, 100_000):
            stop = min(start + 100_000, rows)
            x[start:stop] = generator.normal(2, 3, (stop - start, FEATURES)).astype("float32")
        if labels:
            file["y"] = generator.integers(0, CLASSES, rows)
            file["y"].attrs["classes"] = [str(i) for i in range(CLASSES)]
    return path


def trained(folder: Path) -> Path:
    recipe = {
        "name": "bench",
        "data": {"path": str(write(folder / "train.h5", 2000, labels=True)), "preprocess": ["standardize"]},
        "model": {"architecture": "mlp", "hidden": [128, 128]},
        "train": {"epochs": 1, "optimizer": {"name": "adam", "lr": 1e-3}},
    }
    return train(recipe, runs=folder / "runs", plugins=load_plugins()).run


def bare(run: Path, data: Path, output: Path) -> None:
    model = dlcli.load(run)
    step = BLOCK_BYTES // (4 * FEATURES) // BATCH_SIZE * BATCH_SIZE
    with h5py.File(data) as source, h5py.File(output, "w") as target, torch.inference_mode():
        x = source["x"]
        rows = len(x)
        probabilities = target.create_dataset("probabilities", (rows, CLASSES), "float32")
        prediction = target.create_dataset("prediction", (rows,), "int64")
        for start in range(0, rows, step):
            block = torch.from_numpy(x[start : start + step])
            found = torch.cat([torch.softmax(model(batch), dim=1) for batch in block.split(BATCH_SIZE)])
            probabilities[start : start + len(found)] = found.numpy()
            prediction[start : start + len(found)] = found.argmax(dim=1).numpy()


def peak(run: Path, data: Path, output: Path) -> float:
    """Return the peak of a process's resident memory, in MB; `ru_maxrss` would count what its parent had, too."""
    code = (
        "import sys, torch, dlcli; torch.set_num_threads(1)\n"
        "dlcli.predict(sys.argv[1], sys.argv[2], output=sys.argv[3])\n"
        "lines = open('/proc/self/status').read().splitlines()\n"
        "print(next(int(line.split()[1]) for line in lines if line.startswith('VmHWM')) / 1000)\n"
    )
    words = [sys.executable, "-c", code, str(run), str(data), str(output)]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=11)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, plugins = trained(folder), load_plugins()
        small, large = (write(folder / f"{rows}.h5", rows) for rows in (options.rows // 10, options.rows))
        work = {
            "bare script": lambda: bare(run, large, folder / "bare.h5"),
            "dlcli predict": lambda: dlcli.predict(run, large, output=folder / "ours.h5", plugins=plugins),
        }
        for clock, what in ((time.process_time, "CPU"), (time.perf_counter, "wall")):
            found = ratios(work, "dlcli predict", pairs=options.pairs, clock=clock)
            show(f"rows a second, of those of the bare script, {what} time", found["bare script"], "at least 0.8")
        with h5py.File(folder / "bare.h5") as one, h5py.File(folder / "ours.h5") as other:
            np.testing.assert_allclose(one["probabilities"], other["probabilities"], rtol=1e-5, atol=1e-6)
            # softmax and exp(log_softmax) differ in the last bit, which decides between equal classes.
            assert np.mean(one["prediction"][...] != other["prediction"][...]) < 1e-4
        few, many = peak(run, small, folder / "few.h5"), peak(run, large, folder / "many.h5")
        print(f"peak memory: {few:.0f} MB for {options.rows // 10:,} rows, {many:.0f} MB for {options.rows:,} rows")


if __name__ == "__main__":
    main()
