"""Each architecture's training step against the same network by hand: `python tests/bench/bench_architectures.py`.

Both take the same batch with the same weights, cross-entropy (hinge for svm) and fused Adam, and keep the running loss;
their losses must agree before anything is timed. CPU time of one thread, in turn. Asked for: at most 1.05 times where
a step takes 5 ms or more, at most 1.15 below. Names of architectures as arguments measure these alone.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import by_hand
import h5py
import numpy as np
import torch
from interleaved import ratios, show
from torch import Tensor, nn

from dlcli.contracts.batch import Batch
from dlcli.contracts.member import Member
from dlcli.data.batches import InMemoryBatches
from dlcli.experiment.prepare import prepare
from dlcli.plugins import load_plugins
from dlcli.recipe.load import load_recipe
from dlcli.training.network import build_network
from dlcli.training.step import Step

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Case:
    """An architecture with parameters, the shape of a row, and its twin."""

    architecture: dict[str, Any]
    row: tuple[int, ...]
    twin: Callable[[], nn.Module]
    batch: int = 64
    classes: int = 10
    loss: str = "cross_entropy"


IMAGE, SERIES = (28, 28, 1), (32, 8)
CASES = [
    Case({"architecture": "linear"}, (784,), lambda: by_hand.perceptron(784, [], 10)),
    Case({"architecture": "logistic"}, (784,), lambda: by_hand.perceptron(784, [], 10)),
    Case({"architecture": "svm"}, (784,), lambda: by_hand.perceptron(784, [], 1), classes=2, loss="hinge"),
    Case({"architecture": "mlp"}, (784,), lambda: by_hand.perceptron(784, [128, 128], 10)),
    Case(
        {"architecture": "mlp", "hidden": [1024, 1024]}, (784,), lambda: by_hand.perceptron(784, [1024, 1024], 10), 256
    ),
    Case(
        {"architecture": "cnn", "channels": [4], "hidden": [16]},
        IMAGE,
        lambda: by_hand.convolutional(28, [4], 16, 10),
        16,
    ),
    Case({"architecture": "cnn"}, IMAGE, lambda: by_hand.convolutional(28, [32, 64], 128, 10)),
    Case(
        {"architecture": "resnet", "blocks": [1], "width": 4},
        IMAGE,
        lambda: by_hand.Residual([1], 4, 10),
        8,
    ),
    Case(
        {"architecture": "resnet", "blocks": [2, 2, 2], "width": 16},
        IMAGE,
        lambda: by_hand.Residual([2, 2, 2], 16, 10),
        32,
    ),
    *(
        Case(
            {"architecture": name, "hidden": hidden},
            SERIES,
            lambda kind=kind, hidden=hidden: by_hand.Recurrent(kind, 8, hidden, 10),
            batch,
        )
        for name, kind in (("rnn", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU))
        for hidden, batch in ((16, 8), (256, 64))
    ),
    *(
        Case(
            {"architecture": "transformer", "positions": "learned", "width": width, "layers": 2},
            SERIES,
            lambda width=width: by_hand.Transformer(8, 32, width, 4, 2, 10),
            batch,
        )
        for width, batch in ((16, 16), (128, 32))
    ),
]


def prepared_batch(case: Case, folder: Path) -> tuple[Member, Batch]:
    random = np.random.default_rng(0)
    path = folder / "data.h5"
    with h5py.File(path, "w") as file:
        x = file.create_dataset("x", data=random.standard_normal((4 * case.batch, *case.row)).astype(np.float32))
        x.attrs["role"] = "input"
        x.attrs["kind"] = {1: "features", 2: "sequence", 3: "image"}[len(case.row)]
        y = file.create_dataset("y", data=np.arange(4 * case.batch) % case.classes)
        y.attrs["role"] = "target"
        y.attrs["classes"] = [f"class {number}" for number in range(case.classes)]
    registry = load_plugins().registry
    recipe = load_recipe(
        {
            "name": "bench",
            "data": {"path": str(path), "split": {"val": 0.25}},
            "model": case.architecture,
            "train": {"batch_size": case.batch, "loss": case.loss, "optimizer": {"name": "adam", "lr": 1e-3}},
        },
        registry,
    )
    prepared = prepare(recipe, registry)
    return prepared.member, next(InMemoryBatches(prepared.dataset, CPU).training(prepared.member, 1))


def ours(member: Member, network: nn.Module, batch: Batch) -> Callable[[], Tensor]:
    optimizer = member.optimizer.build(list(network.parameters()), lr=1e-3, weight_decay=0.0)
    step = Step(member, network, optimizer, CPU)
    step.start_epoch(1)
    return lambda: step(batch)


def theirs(case: Case, member: Member, network: nn.Module, batch: Batch) -> Callable[[], Tensor]:
    twin = case.twin().train()
    with torch.no_grad():
        for own, other in zip(network.parameters(), twin.parameters(), strict=True):
            other.copy_(own)
    optimizer = torch.optim.Adam(twin.parameters(), 1e-3, fused=True)
    (x,), y = batch.inputs, batch.target
    signs = 2.0 * y - 1.0

    def run() -> Tensor:
        optimizer.zero_grad()
        output = twin(x)
        if case.loss == "hinge":
            loss = torch.relu(1 - signs * output).mean()
            objective = loss + 0.5 / len(member.training_rows) * twin[1].weight.square().sum()
        else:
            loss = objective = nn.functional.cross_entropy(output, y)
        objective.backward()
        optimizer.step()
        return loss.detach()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--pairs", type=int, default=21)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for case in CASES:
        if options.names and case.architecture["architecture"] not in options.names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            member, batch = prepared_batch(case, Path(folder))
        network = build_network(member, CPU)
        hand = theirs(case, member, network, batch)
        own = ours(member, network, batch)
        for _ in range(3):
            torch.testing.assert_close(own(), hand(), rtol=1e-3, atol=1e-4)
        start = time.process_time()
        for _ in range(5):
            hand()
        took = (time.process_time() - start) / 5
        steps = max(1, round(0.1 / took))
        found = ratios({"by hand": many(hand, steps), "ours": many(own, steps)}, "by hand", pairs=options.pairs)
        title = " ".join(f"{key}={value}" for key, value in case.architecture.items() if key != "architecture")
        title = f"{case.architecture['architecture']} {title} batch {case.batch}: {1000 * took:.2f} ms a step"
        show(title, found["ours"], "≤ 1.05" if took >= 0.005 else "≤ 1.15")


def many(step: Callable[[], Tensor], steps: int) -> Callable[[], None]:
    def run() -> None:
        running = torch.zeros(())
        for _ in range(steps):
            running += step()
        running.item()

    return run


if __name__ == "__main__":
    main()
