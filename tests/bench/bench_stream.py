"""Streaming from disk: `python tests/bench/bench_stream.py [--gigabytes 2] [--pairs 15]`.

A float32 file of the given size in chunks of about 1 MB, once gzip with shuffle, once uncompressed. Against reading its
chunks in order with h5py: rows a second of an epoch of batches of 64 (asked for: ≥ 0.8 with gzip, ≥ 0.4 uncompressed),
as they come from the stream, and as training gets them, with targets. Then the peak memory of an epoch, how many chunks
a batch of 64 has rows of compared with a full shuffle (≥ 0.7), how
long a model with steps of 20 ms waits (≤ 3 %), h5py and DataLoader(shuffle=True) on the gzip file (ten times slower at
least), and batches in memory against bare `index_select` (≥ 0.9).
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

from dlcli.contracts.member import Member
from dlcli.data.batches import InMemoryBatches
from dlcli.data.stored_rows import StoredPart, StoredRows
from dlcli.data.stream import ChunkStream
from dlcli.data.streamed_batches import make_batches
from dlcli.experiment.prepare import prepare
from dlcli.plugins import load_plugins
from dlcli.recipe.load import load_recipe

FEATURES, CHUNK, BATCH = 256, 1024, 64


def write(path: Path, rows: int, *, gzip: bool) -> Path:
    options = {"compression": "gzip", "compression_opts": 4, "shuffle": True} if gzip else {}
    generator = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        x = file.create_dataset("x", (rows, FEATURES), "f4", chunks=(CHUNK, FEATURES), **options)
        for start in range(0, rows, 20 * CHUNK):
            stop = min(start + 20 * CHUNK, rows)
            x[start:stop] = (generator.integers(0, 200, (stop - start, FEATURES)) / 7).astype("f4")
        file.create_dataset("y", data=np.arange(rows) % 2).attrs["classes"] = ["even", "odd"]
    return path


def as_trained_on(path: Path, memory: str) -> tuple[InMemoryBatches, Member]:
    """Return the batches that `dlcli train` makes of a file, all of whose rows are for training."""
    recipe = {
        "name": "bench",
        "data": {"path": str(path), "memory": memory, "split": {"val": 1e-4}},
        "model": {"architecture": "linear"},
        "train": {"batch_size": BATCH, "metrics": []},
    }
    registry = load_plugins().registry
    prepared = prepare(load_recipe(recipe, registry), registry)
    rows = [prepared.member.training_rows]
    return make_batches(prepared.dataset, torch.device("cpu"), rows, 0), prepared.member


def whole_path(batches: InMemoryBatches, member: Member) -> int:
    return sum(len(batch.target) for batch in batches.training(member, 1))


def against_index_select(pairs: int) -> None:
    """Compare an epoch in memory with bare `index_select` of each batch."""
    with tempfile.TemporaryDirectory() as name:
        batches, member = as_trained_on(write(Path(name, "small.h5"), 50_000, gzip=False), "2GB")
    x, y = torch.rand(50_000, FEATURES), torch.zeros(50_000, 1)

    def bare() -> None:
        for index in member.training_rows[torch.randperm(len(member.training_rows))].split(BATCH):
            x.index_select(0, index), y.index_select(0, index)

    found = ratios({"index_select": bare, "epoch": lambda: whole_path(batches, member)}, "epoch", pairs=pairs)
    show("in memory: rows a second, of bare index_select, CPU time", found["index_select"], "at least 0.9")


def stored(path: Path, rows: int) -> StoredRows:
    return StoredRows(path, [StoredPart("x", rows, CHUNK)], (FEATURES,), np.dtype("f4"), image=False)


def in_order(path: Path) -> None:
    with h5py.File(path) as file:
        x = file["x"]
        for start in range(0, len(x), CHUNK):
            x[start : start + CHUNK]


def an_epoch(source: StoredRows, number: int = 1) -> int:
    count = 0
    for window in ChunkStream({"x": source}, torch.arange(len(source))).epoch(0, number):
        for places in window.places.split(16 * BATCH):
            for batch in window.values["x"].index_select(0, places).split(BATCH):
                count += len(batch)
    return count


def peak(path: Path, rows: int, run: bool) -> float:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import torch; torch.set_num_threads(1)\nfrom pathlib import Path\nfrom bench_stream import an_epoch, stored\n"
        f"source = stored(Path({str(path)!r}), {rows})\n"
        f"{'an_epoch(source)' if run else 'source.read(0, 10)'}\n"
        "lines = open('/proc/self/status').read().splitlines()\n"
        "print(next(int(line.split()[1]) for line in lines if line.startswith('VmHWM')) / 1000)\n"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def chunks_in_a_batch(order: torch.Tensor) -> float:
    return float(np.mean([len((batch // CHUNK).unique()) for batch in order.split(BATCH) if len(batch) == BATCH]))


def waiting(source: StoredRows, steps: int = 400) -> float:
    """Return the share of time in which a model that computes 20 ms a step waits for its next batch."""
    waited, start = 0.0, time.perf_counter()
    batches = (
        batch
        for window in ChunkStream({"x": source}, torch.arange(len(source))).epoch(0, 1)
        for places in window.places.split(BATCH)
        for batch in [window.values["x"].index_select(0, places)]
    )
    next(batches)
    start = time.perf_counter()
    for _ in range(steps):
        before = time.perf_counter()
        next(batches)
        waited += time.perf_counter() - before
        time.sleep(0.02)
    return waited / (time.perf_counter() - start)


class Rows(torch.utils.data.Dataset):  # type: ignore[type-arg]
    def __init__(self, path: Path) -> None:
        self._x = h5py.File(path)["x"]

    def __len__(self) -> int:
        return len(self._x)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self._x[index])


def loader_rows_a_second(path: Path, batches: int = 10) -> float:
    loader = iter(torch.utils.data.DataLoader(Rows(path), BATCH, shuffle=True))
    start = time.perf_counter()
    for _ in range(batches):
        next(loader)
    return batches * BATCH / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--pairs", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = int(options.gigabytes * 10**9 / (4 * FEATURES))
    against_index_select(options.pairs)
    with tempfile.TemporaryDirectory() as name:
        for gzip, bound in ((True, 0.8), (False, 0.4)):
            path = write(Path(name, f"{gzip}.h5"), rows, gzip=gzip)
            source = stored(path, rows)
            assert an_epoch(source) == rows
            batches, member = as_trained_on(path, "0")
            work = {
                "in order": lambda path=path: in_order(path),
                "stream": lambda source=source: an_epoch(source),
                "training": lambda batches=batches, member=member: whole_path(batches, member),
            }
            what = "gzip" if gzip else "uncompressed"
            for clock, kind in ((time.perf_counter, "wall"), (time.process_time, "CPU")):
                found = ratios(work, "in order", pairs=options.pairs, clock=clock)
                for which, values in found.items():
                    title = f"{what}: rows a second of {which}, of those in order, {kind} time"
                    show(title, [1 / value for value in values], f"at least {bound}")
            print(f"{what}: peak memory {peak(path, rows, True) - peak(path, rows, False):.0f} MB above one read")
            print(f"{what}: a model with steps of 20 ms waits {100 * waiting(source):.1f} % of the time")
            if gzip:
                start = time.perf_counter()
                an_epoch(source)
                ours = rows / (time.perf_counter() - start)
                print(f"gzip: {ours / loader_rows_a_second(path):.0f} times h5py and DataLoader(shuffle=True)")
            order = torch.cat([rows for _, rows, _ in ChunkStream({"x": source}, torch.arange(rows)).windows(0, 1)])
            full = torch.randperm(rows, generator=torch.Generator().manual_seed(0))
            share = chunks_in_a_batch(order[: 2000 * BATCH]) / chunks_in_a_batch(full[: 2000 * BATCH])
            print(f"{what}: a batch has rows of {share:.2f} of the chunks that a full shuffle gives")
            path.unlink()


if __name__ == "__main__":
    main()
