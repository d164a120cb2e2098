"""Estimated against measured memory of a training step: `python tests/bench/bench_memory.py`.

For an MLP, a CNN and a ResNet-18, with Adam, at several batch sizes: what `dlcli build` says (from steps on two and
four rows, without the best epoch's copy, which a step does not make), what the allocator had in use at the peak of a
step (on a CPU told by torch's profiler), and their ratio, asked for within 25 % where the estimate is ≥ 500 MB.
`--device cuda` measures on a GPU, `--most` leaves out batches whose estimate is larger, `--json` leaves numbers alone.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from dlcli.contracts.batch import Batch
from dlcli.contracts.field import Field, InputOutput
from dlcli.contracts.member import Member
from dlcli.contracts.task import Task
from dlcli.plugins import load_plugins
from dlcli.training.step_costs import step_costs

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from measured_memory import measured_peak  # noqa: E402

CASES = {
    "mlp 784-2048-2048-10": ("mlp", {"hidden": [2048, 2048]}, ("features", (784,)), [1024, 8192, 16384]),
    "mlp, batch norm": ("mlp", {"hidden": [2048, 2048], "norm": "batch"}, ("features", (784,)), [1024, 8192]),
    "cnn 28×28": ("cnn", {}, ("image", (1, 28, 28)), [256, 1536, 3072]),
    "cnn 32×32, batch norm": ("cnn", {"convolutions": 2, "norm": "batch"}, ("image", (3, 32, 32)), [64, 256, 512]),
    "resnet-18 32×32": ("resnet", {}, ("image", (3, 32, 32)), [32, 64, 128]),
    "resnet-18 224×224": ("resnet", {}, ("image", (3, 224, 224)), [8, 16, 32]),
}
MB = 1e6


def make_member(architecture: str, parameters: dict[str, object], kind: str, shape: tuple[int, ...]) -> Member:
    create = load_plugins().registry.create
    return Member(
        identity="",
        seed=0,
        architecture=create("architecture", architecture, **parameters),
        io=InputOutput((Field("x", "input", kind, shape, "float32"),), Task.MULTICLASS, 10),
        loss=create("loss", "cross_entropy"),
        optimizer=create("optimizer", "adam"),
        schedule=create("schedule", "constant"),
        training_rows=torch.arange(4),
        epochs=1,
        batch_size=4,
    )


def make_batch(shape: tuple[int, ...], rows: int, device: torch.device) -> Batch:
    return Batch((torch.randn(rows, *shape, device=device),), torch.randint(0, 10, (rows,), device=device))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--most", type=float, default=2500, help="MB")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.set_num_threads(1)
    if not options.json:
        print(f"{'network':<24} {'rows':>6} {'estimate':>10} {'measured':>10} {'ratio':>6} {'estimating took':>16}")
    worst, rows_told = 1.0, []
    for name, (architecture, parameters, (kind, shape), sizes) in CASES.items():
        member = make_member(architecture, parameters, kind, shape)
        start = time.process_time()
        costs = step_costs(member, make_batch(shape, 8, device), device)
        took = time.process_time() - start
        for rows in sizes:
            memory = costs.memory(rows)
            estimate = memory.total - memory.copies
            if estimate > options.most * MB:
                continue
            measured = measured_peak(member, make_batch(shape, rows, device), device)
            ratio = estimate / measured
            rows_told.append({"network": name, "rows": rows, "estimate": estimate, "measured": measured})
            if not options.json:
                told = f"{estimate / MB:7.0f} MB {measured / MB:7.0f} MB"
                print(f"{name:<24} {rows:>6} {told} {ratio:6.3f} {took:14.2f} s", flush=True)
            if estimate >= 500 * MB:
                worst = max(worst, ratio, 1 / ratio)
    if options.json:
        print(json.dumps(rows_told))
    else:
        print(f"worst ratio where the estimate is ≥ 500 MB: {worst:.3f}  asked for: ≤ 1.25")


if __name__ == "__main__":
    main()
