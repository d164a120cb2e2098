"""Batches in memory: every row and its companions together, prepared or not, however many are gathered at once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from dlcli.builtin.preprocessors.scale import Scale
from dlcli.builtin.preprocessors.standardize import Standardize
from dlcli.contracts.batch import Batch
from dlcli.contracts.dataset import Dataset
from dlcli.contracts.member import Member
from dlcli.data.batches import InMemoryBatches
from dlcli.data.order import epoch_rows
from dlcli.data.preprocessing import fit_preprocessing, input_output, preprocess
from dlcli.data.read import read_dataset
from dlcli.errors import DataError

Write = Callable[..., Path]
CPU = torch.device("cpu")
N = 23


def member(dataset: Dataset, **changes: Any) -> Member:
    """Return a member that learns from all training rows; what batches do not need is left out."""
    parts = {"architecture": None, "loss": None, "optimizer": None, "schedule": None}
    plain = Member(
        identity="",
        seed=11,
        io=input_output(dataset, []),
        training_rows=dataset.splits["train"],
        epochs=1,
        batch_size=5,
        **{name: SimpleNamespace() for name in parts},  # type: ignore[arg-type]
    )
    return replace(plain, **changes)


def rows_of(plain: Member, epoch: int = 1) -> torch.Tensor:
    return epoch_rows(plain.training_rows, plain.batch_size, seed=plain.seed, epoch=epoch, drop_last=plain.drop_last)[0]


@pytest.fixture
def dataset(write: Write) -> Dataset:
    generator = np.random.default_rng(0)
    content = {
        "x": generator.normal(size=(N, 3, 2)),
        "image": generator.integers(0, 255, size=(N, 4, 4, 2), dtype="uint8"),
        "size": generator.normal(size=(N, 2)).astype("float32"),
        "n": np.arange(N) % 3 + 1,
        "m": generator.integers(0, 2, size=(N, 3)),
        "w": generator.uniform(size=N),
        "y": np.arange(N, dtype="float32"),
    }
    attributes = {
        "x": {"role": "input", "kind": "sequence"},
        "image": {"role": "input"},
        "size": {"role": "condition"},
        "n": {"role": "length", "of": "x"},
        "m": {"role": "mask", "of": "x"},
        "w": {"role": "weight"},
    }
    return read_dataset(write(content, **attributes), val=0.2)


@pytest.fixture
def plain(labelled: Write) -> Dataset:
    return read_dataset(labelled(train=N), val=0)


@pytest.mark.parametrize("block_bytes", [1, 500, 2**24])
@pytest.mark.parametrize("prepared_bytes", [0, 2**31])
def test_everything_of_a_row_stays_together(dataset, monkeypatch, block_bytes: int, prepared_bytes: int) -> None:
    monkeypatch.setattr("dlcli.data.batches.BLOCK_BYTES", block_bytes)
    monkeypatch.setattr("dlcli.data.sources.PREPARED_BYTES", prepared_bytes)
    steps = [Scale(low=-1.0), Standardize()]
    who = member(
        dataset,
        io=input_output(dataset, steps),
        preprocessing=fit_preprocessing(dataset, steps, dataset.splits["train"]),
        offset=torch.arange(float(N)).unsqueeze(1) / 3,
    )
    raw, fitted = dataset.tensors, who.preprocessing
    assert [field.name for field in who.io.inputs] == ["image", "x"]
    batches = InMemoryBatches(dataset, CPU)
    for epoch in (1, 2):
        index = rows_of(who, epoch)
        found = list(batches.training(who, epoch))
        assert len(found) == len(index) == batches.steps(who) == 4
        for batch, rows in zip(found, index, strict=True):
            image, sequence = batch.inputs
            torch.testing.assert_close(image, preprocess(fitted["image"], "image", raw["image"][rows]))
            torch.testing.assert_close(sequence, preprocess(fitted["x"], "sequence", raw["x"][rows]))
            torch.testing.assert_close(batch.conditions[0], preprocess(fitted["size"], "features", raw["size"][rows]))
            assert {image.dtype, sequence.dtype, batch.conditions[0].dtype} == {torch.float32}
            assert batch.target.equal(raw["y"][rows])
            assert batch.target.shape == (5, 1)
            assert batch.lengths is not None
            assert batch.lengths.equal(raw["n"][rows])
            assert batch.mask is not None
            assert batch.mask.equal(raw["m"][rows].bool())
            assert batch.offset is not None
            assert batch.offset.equal(rows.unsqueeze(1) / 3)
        weights = torch.stack([batch.weight for batch in found if batch.weight is not None])
        expected = raw["w"].float()[index]
        expected[-1, len(who.training_rows) - 15 :] = 0
        assert weights.equal(expected)


def test_only_a_filled_batch_has_weights(plain: Dataset) -> None:
    batches = InMemoryBatches(plain, CPU)
    found = list(batches.training(member(plain), 1))
    assert [batch.weight is None for batch in found] == [True] * 4 + [False]
    assert found[-1].weight is not None
    assert found[-1].weight.tolist() == [1, 1, 1, 0, 0]
    assert all(batch[3:] == ((), None, None, None) for batch in found)
    assert all(batch.inputs[0].shape == (5, 3) for batch in found)
    assert all(batch.weight is None for batch in batches.training(member(plain, batch_size=23), 1))
    assert all(batch.weight is None for batch in batches.training(member(plain, drop_last=True), 1))


def test_fewer_rows_than_a_batch(plain: Dataset) -> None:
    who = member(plain, training_rows=torch.tensor([4, 9]))
    (batch,) = InMemoryBatches(plain, CPU).training(who, 1)
    order = rows_of(who)[0, :2]
    assert batch.inputs[0].equal(plain.tensors["x"][order][[0, 1, 0, 1, 0]])
    assert batch.weight is not None
    assert batch.weight.tolist() == [1, 1, 0, 0, 0]


def test_drop_last_without_a_batch(plain: Dataset) -> None:
    batches = InMemoryBatches(plain, CPU)
    who = member(plain, batch_size=24, drop_last=True)
    with pytest.raises(DataError, match=r"train\.drop_last leaves no batch: 23 training rows, train\.batch_size 24"):
        batches.steps(who)
    with pytest.raises(DataError, match=r"train\.drop_last leaves no batch"):
        next(iter(batches.training(who, 1)))


def test_row_weights_count_in_training_only(plain: Dataset, dataset: Dataset) -> None:
    own = torch.arange(N, dtype=torch.float64)
    who = member(plain, row_weights=own)
    index = rows_of(who)
    for batch, rows in zip(InMemoryBatches(plain, CPU).training(who, 1), index[:-1], strict=False):
        assert batch.weight is not None
        assert batch.weight.equal(own[rows].float())
    assert all(batch.weight is None for batch in InMemoryBatches(plain, CPU).evaluation(who, torch.arange(9)))
    both = member(dataset, row_weights=own)
    first = next(iter(InMemoryBatches(dataset, CPU).training(both, 1)))
    given = dataset.tensors["w"].float()
    assert first.weight is not None
    torch.testing.assert_close(first.weight, (own.float() * given)[rows_of(both)[0]])
    (evaluated,) = InMemoryBatches(dataset, CPU).evaluation(both, torch.tensor([7, 2]))
    assert evaluated.weight is not None
    assert evaluated.weight.equal(given[[7, 2]])


def test_fed_inputs_training_targets_and_columns(dataset: Dataset) -> None:
    other = torch.rand(N, 3, 2)
    target = torch.rand(N, 1)
    who = member(
        dataset,
        fed={"x": other},
        training_target=target,
        input_columns={"x": torch.tensor([1]), "image": torch.tensor([1, 0, 1])},
    )
    rows = torch.tensor([3, 3, 20])
    (batch,) = InMemoryBatches(dataset, CPU).evaluation(who, rows)
    assert batch.inputs[1].equal(other[rows][:, :, [1]])
    assert batch.inputs[0].equal(dataset.tensors["image"][rows].float()[:, [1, 0, 1]])
    assert batch.target.equal(dataset.tensors[dataset.target.name][rows])
    first = next(iter(InMemoryBatches(dataset, CPU).training(who, 1)))
    assert first.target.equal(target[rows_of(who)[0]])


def test_members_do_not_share_what_differs(plain: Dataset) -> None:
    batches = InMemoryBatches(plain, CPU)
    rows = torch.arange(N)
    for low in (0.0, -3.0):
        fitted = fit_preprocessing(plain, [Scale(low=low)], plain.splits["train"])
        (batch,) = batches.evaluation(member(plain, preprocessing=fitted), rows)
        assert batch.inputs[0].amin() == pytest.approx(low, abs=1e-6)
    (batch,) = batches.evaluation(member(plain), rows)
    assert batch.inputs[0].equal(plain.tensors["x"])


def test_prepared_once_and_never_more_than_the_limit(plain: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counted(self: Standardize, state: Any, batch: torch.Tensor) -> torch.Tensor:
        calls.append(len(batch))
        return (batch.float() - state["mean"]) * state["scale"]

    size = N * 3 * 4
    monkeypatch.setattr("dlcli.data.sources.PREPARED_BYTES", 2 * size)
    monkeypatch.setattr(Standardize, "apply", counted)
    batches = InMemoryBatches(plain, CPU)
    population = [
        member(plain, preprocessing=fit_preprocessing(plain, [Standardize()], torch.arange(index, 9 + index)))
        for index in range(3)
    ]
    for who in (population[0], population[1], population[0], population[0]):
        list(batches.training(who, 1))
    assert calls == [N, N]
    list(batches.training(population[2], 1))  # the one used least lately, the second, goes
    list(batches.training(population[0], 1))
    assert calls == [N] * 3
    list(batches.training(population[1], 1))
    assert calls == [N] * 4


@pytest.mark.parametrize(("rows_at_once", "bytes_at_once"), [(4, 2**20), (4096, 4 * 12)])
def test_evaluation_in_order(plain: Dataset, monkeypatch, rows_at_once: int, bytes_at_once: int) -> None:
    monkeypatch.setattr("dlcli.data.batches.EVALUATION_ROWS", rows_at_once)
    monkeypatch.setattr("dlcli.data.batches.EVALUATION_BYTES", bytes_at_once)
    rows = torch.tensor([5, 1, 9, 22, 0, 7])
    batches = InMemoryBatches(plain, CPU)
    found: list[Batch] = list(batches.evaluation(member(plain), rows))
    assert [len(batch.target) for batch in found] == [4, 2]
    assert torch.cat([batch.inputs[0] for batch in found]).equal(plain.tensors["x"][rows])
    assert torch.cat([batch.target for batch in found]).equal(plain.tensors["y"][rows])
    assert not list(batches.evaluation(member(plain), rows[:0]))


def test_evaluation_takes_fewer_rows_of_many_steps(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlcli.data.batches.EVALUATION_STEPS", 12)  # x has three steps a row
    monkeypatch.setattr("dlcli.data.batches.STACKED_ROWS", 1)
    batches, rows = InMemoryBatches(dataset, CPU), torch.tensor([5, 1, 9, 22, 0, 7])
    found = list(batches.evaluation(member(dataset), rows))
    assert [len(batch.target) for batch in found] == [4, 2]
    assert torch.cat([batch.target for batch in found]).equal(dataset.tensors["y"][rows])
    stacked = batches.stacked_evaluation([member(dataset)] * 2, [rows, rows])
    assert [list(counts) for _, counts in stacked.batches] == [[2, 2]] * 3


def test_on_another_device(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("meta")
    for limit in (0, 2**31):
        monkeypatch.setattr("dlcli.data.sources.PREPARED_BYTES", limit)
        fitted = fit_preprocessing(dataset, [Standardize()], dataset.splits["train"])
        who = member(dataset, preprocessing=fitted, offset=torch.zeros(N, 1), row_weights=torch.ones(N))
        for batch in InMemoryBatches(dataset, device).training(who, 1):
            tensors = [
                *batch.inputs,
                batch.target,
                batch.weight,
                *batch.conditions,
                batch.lengths,
                batch.mask,
                batch.offset,
            ]
            assert {str(tensor.device) for tensor in tensors if tensor is not None} == {"meta"}
