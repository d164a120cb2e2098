"""Many members at once against one plain loop: `python tests/bench/bench_population.py [--members N] [--cnn]`.

The plain loop is one model as a user would write it in PyTorch with its defaults (`x[idx]` batches, unfused Adam). Ours
trains N members, each with its own seed, order of rows and initial values, through `fit`. One thread, CPU time; with
`--device cuda` wall time, synchronized, against one member of the loop engine. `--engines` adds the loop engine on the
same members; `--capture` prints what the first population of a process pays once.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from bench_training import DIGITS, Unwatched, network
from interleaved import ratios, show
from torch import Tensor, nn

from dlcli.contracts.member import Engine, Member
from dlcli.contracts.randomness import derive
from dlcli.data.batches import InMemoryBatches
from dlcli.experiment.prepare import Prepared, prepare
from dlcli.plugins import load_plugins
from dlcli.recipe.load import load_recipe
from dlcli.training.fit import fit

MLP = {"architecture": "mlp", "hidden": [128, 128]}
CNN = {"architecture": "cnn", "channels": [16, 32], "hidden": [128]}


def plain_cnn() -> nn.Module:
    blocks: list[nn.Module] = []
    for before, after in ((1, 16), (16, 32)):
        blocks += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))


def plain(x: Tensor, y: Tensor, make: Callable[[], nn.Module], epochs: int) -> Callable[[], None]:
    def run() -> None:
        torch.manual_seed(0)
        rows = x.float()
        rows = (rows - rows.mean()) / rows.std()
        model = make()
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        loss_function = nn.CrossEntropyLoss()
        for _ in range(epochs):
            order, running = torch.randperm(len(y)), torch.zeros(())
            for index in order.split(64):
                optimizer.zero_grad()
                loss = loss_function(model(rows[index]), y[index])
                loss.backward()
                optimizer.step()
                running += loss.detach()
            running.item()

    return run


def population(prepared: Prepared, count: int, engine: Engine, device: torch.device) -> Callable[[], None]:
    base: Member = replace(prepared.member, validation_rows=None, monitor="train_loss", metrics={})
    members = [replace(base, identity=f"seed-{i}", seed=derive(0, "member", i)) for i in range(count)]
    batches = InMemoryBatches(prepared.dataset, device)

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            fit(
                members,
                batches,
                directory=Path(folder),
                device=device,
                watch=Unwatched(),
                checkpoint_seconds=30.0,
                resume=False,
                engine=engine,
            )
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--cnn", action="store_true")
    parser.add_argument("--engines", action="store_true", help="also the loop engine on the same members")
    parser.add_argument("--capture", action="store_true", help="print what the first population of a process pays")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(1)
    registry = load_plugins().registry
    prepared = prepare(
        load_recipe(
            {
                "name": "bench",
                "data": {"path": str(DIGITS), "preprocess": ["standardize"]},
                "model": CNN if options.cnn else MLP,
                "train": {"epochs": options.epochs, "optimizer": {"name": "adam", "lr": 1e-3}},
            },
            registry,
        ),
        registry,
    )
    member = prepared.member
    x, y = (prepared.dataset.tensors[n].index_select(0, member.training_rows) for n in ("x", "y"))
    device = torch.device(options.device)
    ours = population(prepared, options.members, "vectorized", device)
    if options.capture:
        took = []
        for _ in range(2):
            start = time.process_time()
            ours()
            took.append(time.process_time() - start)
        print(f"first population of a process: {took[0] - took[1]:.2f} s of CPU more than the next")
    kind = "CNN" if options.cnn else "MLP"
    if device.type == "cuda":
        work = {"one": population(prepared, 1, "loop", device), "ours": ours}
        found = ratios(work, "one", pairs=options.pairs, clock=time.perf_counter)
        show(f"{options.members} {kind} members / one member", found["ours"], "≤ 1.5 for 32")
        return
    work = {
        "plain": plain(
            x if options.cnn else x.flatten(1),
            y,
            plain_cnn if options.cnn else lambda: network([128, 128]),
            options.epochs,
        ),
        "ours": ours,
    }
    if options.engines:
        work["loop engine"] = population(prepared, options.members, "loop", device)
    found = ratios(work, "plain", pairs=options.pairs)
    bound = "≤ 7.5" if options.cnn else {10: "≤ 3.3", 32: "≤ 8"}.get(options.members, "")
    show(f"{options.members} {kind} members / plain loop", found["ours"], bound)
    if options.engines:
        show(f"{options.members} {kind} members one by one / plain loop", found["loop engine"], "")
        shares = [a / b for a, b in zip(found["ours"], found["loop engine"], strict=True)]
        show("ours / loop engine", shares, "≤ 1")


if __name__ == "__main__":
    main()
