"""How fast a model is in the formats that it can be run in, side by side."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from dlcli.contracts.exporter import Exportable, Exporter
from dlcli.errors import PluginError
from dlcli.experiment.exporting.exporter_choice import label_of
from dlcli.experiment.exporting.parity import Outputs, Rows
from dlcli.registry import Registry

BATCHES = (1, 64)
"""Rows whose latency is measured."""
MANY = 1024
"""Rows of a batch for throughput."""
ROUNDS, SECONDS = 30, 0.02
"""How often each is measured, in turn, and how long one measurement takes at least."""
BESIDE = ("dlcli:pt2", "dlcli:onnx")
"""Formats that are always shown where what they need is installed."""


@dataclass(frozen=True)
class Speed:
    """How fast a model is in one format.

    Args:
        name: `source`, or the format.
        latency_1: Median milliseconds of one row.
        latency_64: Median milliseconds of 64 rows.
        rows_a_second: Throughput in batches of 1024 rows.
        bytes: Size of the artefact, of the source that of its weights.
        threads: How many threads computed.
    """

    name: str
    latency_1: float
    latency_64: float
    rows_a_second: float
    bytes: int
    threads: int


def measure(
    exporter: Exporter, path: Path, exportable: Exportable, source: Callable[[Rows], Outputs], registry: Registry
) -> tuple[Speed, ...]:
    """Measure source and artefacts in turn, so that what else the machine does falls on all alike.

    Args:
        exporter: Whose artefact was left.
        path: The artefact.
        exportable: The model as exporters get it.
        source: Computes the source's outputs.
        registry: Where pt2 and onnx are, to be shown beside it.

    Returns:
        The source, then pt2, onnx where its packages are installed, and the artefact where it is another.
    """
    models: dict[str, Callable[[Rows], Outputs]] = {"source": source}
    sizes = {"source": (exportable.folder / "model.safetensors").stat().st_size}
    with TemporaryDirectory() as folder:
        for label in BESIDE:
            other = registry.component(Exporter, label)
            if other == exporter:
                continue
            beside = Path(folder, f"model{other.suffix}")
            try:
                other.write(exportable, beside)
                models[other.name], sizes[other.name] = other.open(beside).run, beside.stat().st_size
            except PluginError:  # its packages are not installed
                continue
        name = label_of(exporter)
        models[name] = exporter.open(path).run
        sizes[name] = size_of(path)
        found = {count: _milliseconds(models, _batch(exportable.inputs, count)) for count in (*BATCHES, MANY)}
    return tuple(
        Speed(
            name,
            found[1][name],
            found[64][name],
            1000 * MANY / found[MANY][name],
            sizes[name],
            torch.get_num_threads(),
        )
        for name in models
    )


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _batch(rows: Rows, count: int) -> Rows:
    return {name: tensor[torch.arange(count) % len(tensor)] for name, tensor in rows.items()}


def _milliseconds(models: dict[str, Callable[[Rows], Outputs]], rows: Rows) -> dict[str, float]:
    """Return the median time of a call of each model."""
    repeats = {}
    for name, run in models.items():
        run(rows)
        start = time.perf_counter()
        run(rows)
        repeats[name] = max(1, round(SECONDS / max(1e-6, time.perf_counter() - start)))
    taken: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(ROUNDS):
        for name, run in models.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                run(rows)
            taken[name].append(1000 * (time.perf_counter() - start) / repeats[name])
    return {name: statistics.median(values) for name, values in taken.items()}
