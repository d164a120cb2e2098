"""Stacks of members whose data has conditions, lengths, masks, weights, offsets, or a target for every position."""

from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from engines import CPU, Double, float64, train
from torch import nn

from dlcli.contracts.architecture import Architecture
from dlcli.contracts.dataset import Dataset
from dlcli.contracts.field import Field
from dlcli.contracts.randomness import derive
from dlcli.contracts.task import Task
from dlcli.data.batches import InMemoryBatches
from dlcli.data.preprocessing import input_output
from dlcli.layers.dropout import Dropout

ROWS, STEPS, FEATURES = 160, 6, 3


class Tagger(Architecture):
    """Answers for every position, from its features and from a condition; averages nothing over time."""

    name: ClassVar[str] = "tagger"

    def build(self, io):
        return _Tagger(io.outputs)


class _Tagger(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.inner, self.condition, self.head = nn.Linear(FEATURES, 8), nn.Linear(2, 8), nn.Linear(8, outputs)
        self.dropout = Dropout(0.25)

    def forward(self, x, *, conditions=(), lengths=None, mask=None):
        hidden = self.inner(x) + self.condition(conditions[0]).unsqueeze(1)
        if lengths is not None:
            hidden = hidden * (torch.arange(x.shape[1]) < lengths.unsqueeze(1)).unsqueeze(2)
        return self.head(self.dropout(torch.tanh(hidden)))


def positions(which):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((ROWS, STEPS, FEATURES), generator=generator)
    fields = {
        "x": Field("x", "input", "sequence", (STEPS, FEATURES), "float32"),
        "c": Field("c", "condition", "features", (2,), "float32"),
        "y": Field("y", "target", "categorical", (STEPS,), "int64", classes=("a", "b", "c")),
        "w": Field("w", "weight", "features", (), "float32"),
    }
    tensors = {
        "x": x,
        "c": torch.randn((ROWS, 2), generator=generator),
        "y": x.argmax(dim=2),
        "w": torch.rand(ROWS, generator=generator),
    }
    if which == "length":
        fields["length"] = Field("length", "length", "categorical", (), "int64", of="x")
        tensors["length"] = torch.randint(1, STEPS + 1, (ROWS,), generator=generator)
    else:
        fields["mask"] = Field("mask", "mask", "features", (STEPS,), "bool", of="y")
        tensors["mask"] = torch.rand((ROWS, STEPS), generator=generator) < 0.7
    splits = {"train": torch.arange(120), "val": torch.arange(120, ROWS)}
    return Dataset(fields, tensors, splits, Task.MULTICLASS, True, "positions")


def members_of(member, registry, dataset, **changes):
    base = replace(
        member(epochs=3),
        architecture=Tagger(),
        io=input_output(dataset, ()),
        preprocessing={},
        training_rows=dataset.splits["train"],
        validation_rows=dataset.splits["val"],
        batch_size=32,
        metrics={name: registry.create("metric", name) for name in ("accuracy", "nll")},
        **changes,
    )
    return [replace(base, identity=f"m-{i}", seed=derive(1, i)) for i in range(3)]


def check(members, dataset, tmp_path):
    batches = Double(InMemoryBatches(dataset, CPU))
    with float64():
        together = train(members, batches, tmp_path / "together", "vectorized")
        alone = train(members, batches, tmp_path / "alone", "loop")
    for one, other in zip(together, alone, strict=True):
        for mine, theirs in zip(one.history.records, other.history.records, strict=True):
            assert mine.values == pytest.approx(theirs.values, abs=1e-8)
        for name, tensor in one.state.items():
            torch.testing.assert_close(tensor, other.state[name], rtol=0, atol=1e-8)


@pytest.mark.parametrize("which", ["length", "mask"])
def test_positions_conditions_weights_lengths_and_masks(which, member, registry, tmp_path):
    dataset = positions(which)
    check(members_of(member, registry, dataset), dataset, tmp_path)


def test_offsets_columns_and_replacements_of_their_own(member, registry, dataset, tmp_path):
    generator = torch.Generator().manual_seed(1)
    own = [
        replace(
            member(epochs=3, architecture=registry.create("architecture", "mlp", hidden=[9])),
            identity=f"m-{i}",
            seed=derive(2, i),
            offset=torch.randn((600, 10), generator=generator),
            input_columns={"x": torch.randperm(64, generator=generator)[:20]},
            training_target=torch.randint(0, 10, (600,), generator=generator),
        )
        for i in range(3)
    ]
    narrow = [
        replace(m, io=replace(m.io, inputs=tuple(replace(field, shape=(20,)) for field in m.io.inputs))) for m in own
    ]
    check(narrow, dataset, tmp_path)
