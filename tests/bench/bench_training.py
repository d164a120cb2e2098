"""Training throughput of the loop engine against hand-written loops: `python tests/bench/bench_training.py`.

The digits MLP 64-128-128-10, batch 64, Adam 1e-3, one thread, CPU time. *plain* is PyTorch as a user would write it
(`x[idx]` batches, unfused Adam); *tuned* uses `index_select` and fused Adam. All three standardize the rows, keep the
running loss and train the same number of steps; every one includes building its network. `--large` measures a model
whose step takes 20 ms or more against the tuned loop.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from interleaved import ratios, show
from torch import Tensor, nn

from dlcli.contracts.member import Member
from dlcli.data.batches import InMemoryBatches
from dlcli.experiment.prepare import prepare
from dlcli.plugins import load_plugins
from dlcli.recipe.load import load_recipe
from dlcli.training.fit import fit

DIGITS = Path(__file__).parents[2] / "recipes/digits/digits.h5"


class Unwatched:
    """A watch that says nothing."""

    def interrupted(self) -> bool:
        return False

    def epoch_started(self, *_: object) -> None: ...

    def step_finished(self, *_: object) -> None: ...

    def epoch_finished(self, *_: object) -> None: ...

    def note(self, text: str) -> None: ...


def network(hidden: list[int]) -> nn.Module:
    layers: list[nn.Module] = []
    for before, after in zip([64, *hidden], hidden, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], 10))


def by_hand(x: Tensor, y: Tensor, hidden: list[int], batch: int, epochs: int, *, tuned: bool) -> Callable[[], None]:
    def run() -> None:
        torch.manual_seed(0)
        rows = x.flatten(1).float()
        rows = (rows - rows.mean()) / rows.std()
        model = network(hidden)
        optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True if tuned else None)
        loss_function = nn.CrossEntropyLoss()
        for _ in range(epochs):
            order, running = torch.randperm(len(y)), torch.zeros(())
            for index in order.split(batch):
                inputs, target = (
                    (rows.index_select(0, index), y.index_select(0, index)) if tuned else (rows[index], y[index])
                )
                optimizer.zero_grad()
                loss = loss_function(model(inputs), target)
                loss.backward()
                optimizer.step()
                running += loss.detach()
            running.item()

    return run


def ours(hidden: list[int], batch: int, epochs: int) -> tuple[Callable[[], None], Tensor, Tensor]:
    registry = load_plugins().registry
    recipe = load_recipe(
        {
            "name": "bench",
            "data": {"path": str(DIGITS), "preprocess": ["standardize"]},
            "model": {"architecture": "mlp", "hidden": hidden, "norm": "none"},
            "train": {"epochs": epochs, "batch_size": batch, "optimizer": {"name": "adam", "lr": 1e-3}},
        },
        registry,
    )
    prepared = prepare(recipe, registry)
    member: Member = prepared.member
    member = Member(**{**vars(member), "validation_rows": None, "monitor": "train_loss", "metrics": {}})
    rows = member.training_rows
    x = prepared.dataset.tensors[prepared.dataset.by_role("input")[0].name].index_select(0, rows)
    y = prepared.dataset.tensors[prepared.dataset.target.name].index_select(0, rows)

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            fit(
                [member],
                InMemoryBatches(prepared.dataset, torch.device("cpu")),
                directory=Path(folder),
                device=torch.device("cpu"),
                watch=Unwatched(),
                checkpoint_seconds=30.0,
                resume=False,
            )

    return run, x, y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="a model whose step takes 20 ms or more")
    parser.add_argument("--pairs", type=int, default=21)
    options = parser.parse_args()
    torch.set_num_threads(1)
    hidden, batch, epochs = ([2048, 2048], 64, 8) if options.large else ([128, 128], 64, 30)
    run, x, y = ours(hidden, batch, epochs)
    work = {"ours": run, "tuned": by_hand(x, y, hidden, batch, epochs, tuned=True)}
    if not options.large:
        work["plain"] = by_hand(x, y, hidden, batch, epochs, tuned=False)
    found = ratios(work, "ours", pairs=options.pairs)
    show("throughput of ours / tuned loop", found["tuned"], "≥ 0.99" if options.large else "≥ 0.90")
    if not options.large:
        show("throughput of ours / plain loop", found["plain"], "≥ 1.3")


if __name__ == "__main__":
    main()
