"""Ten members' combined outputs against one member's: `python tests/bench/bench_ensemble_inference.py [--device cuda]`.

Ten MLPs 64-128-128-10 ReLU on standardised digits: raw inputs in, the mean of probabilities out, batch 64, without
gradients, against the forward of one member with its preprocessing. The rest says what it is made of: the same members
one after the other, and the arithmetic alone, three `baddbmm` and two `relu_` on tensors that are stacked already. One
thread, CPU time; with `--device cuda` wall time, synchronized.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from bench_training import DIGITS
from interleaved import ratios, show
from torch import Tensor

import dlcli
from dlcli.experiment.train import train
from dlcli.plugins import load_plugins


def repeated(forward: Callable[[], Tensor], times: int, device: torch.device) -> Callable[[], None]:
    def run() -> None:
        with torch.no_grad():
            for _ in range(times):
                forward()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run


def bare(rows: Tensor, members: int) -> Callable[[], Tensor]:
    widths = (rows[0].numel(), 128, 128, 10)
    weights = [torch.randn(members, i, o, device=rows.device) for i, o in zip(widths, widths[1:], strict=False)]
    biases = [torch.randn(members, 1, o, device=rows.device) for o in widths[1:]]

    def forward() -> Tensor:
        hidden = rows.flatten(1).expand(members, -1, -1)
        hidden = torch.baddbmm(biases[0], hidden, weights[0]).relu_()
        hidden = torch.baddbmm(biases[1], hidden, weights[1]).relu_()
        return torch.baddbmm(biases[2], hidden, weights[2])

    return forward


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--cnn", action="store_true", help="convolutional networks, without bare arithmetic")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pairs", type=int, default=21)
    parser.add_argument("--times", type=int, default=200, help="forward passes in one measurement")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)
    mlp = {"architecture": "mlp", "hidden": [128, 128]}
    cnn = {"architecture": "cnn", "channels": [16, 32], "hidden": [128]}
    recipe = {
        "name": "bench",
        "data": {"path": str(DIGITS), "preprocess": ["standardize"]},
        "model": cnn if options.cnn else mlp,
        "train": {"epochs": 2, "optimizer": {"name": "adam", "lr": 1e-3}},
    }
    with tempfile.TemporaryDirectory() as folder:
        run = train(recipe, seeds=options.members, runs=Path(folder), plugins=load_plugins()).run
        model = dlcli.load(run).to(device)
    shape = model.inputs[0].shape
    x = torch.randint(0, 17, (options.batch, *shape), device=device).to(torch.uint8)
    one = model.part("seed-0")
    with torch.no_grad():
        start = time.perf_counter()
        before = model(x)
        model(x)
        print(f"the second call, which captures: {time.perf_counter() - start:.2f} s")
        torch.testing.assert_close(model(x), before, rtol=1e-5, atol=1e-6)
    work = {
        "one member": lambda: one(x),
        "combined": lambda: model(x),
        "one after the other": lambda: model.combine_outputs(model.outputs(x)),
    }
    if not options.cnn:
        work["bare baddbmm"] = bare(x.float(), options.members)
    found = ratios(
        {name: repeated(forward, options.times, device) for name, forward in work.items()},
        "one member",
        pairs=options.pairs,
        clock=time.perf_counter if device.type == "cuda" else None,
    )
    bound = "at most 2" if device.type == "cuda" else "at most 6.5"
    for name, values in found.items():
        show(f"{name}, {options.members} members, batch {options.batch}", values, bound if name == "combined" else "-")


if __name__ == "__main__":
    main()
