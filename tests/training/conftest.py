"""A small real problem as live objects: scikit-learn's digits, without files."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.field import Field
from dlcli.contracts.history import EpochRecord, History
from dlcli.contracts.member import Member
from dlcli.contracts.task import Task
from dlcli.data.batches import InMemoryBatches
from dlcli.data.preprocessing import fit_preprocessing, input_output
from dlcli.plugins import load_plugins
from dlcli.registry import Registry


class Recorder:
    """A watch that keeps what it is told, and asks to end from a given step of a given epoch on."""

    def __init__(self, stop_at: tuple[int, int] | None = None) -> None:
        self.stop_at = stop_at
        self.epoch = self.step = 0
        self.records: list[EpochRecord] = []
        self.rates: list[float] = []
        self.notes: list[str] = []

    def interrupted(self) -> bool:
        return self.stop_at is not None and (self.epoch, self.step) >= self.stop_at

    def epoch_started(self, member: Member, epoch: int, steps: int) -> None:
        self.epoch, self.step = epoch, 0

    def step_finished(self, step: int, loss: torch.Tensor, learning_rate: float) -> None:
        self.step = step
        self.rates.append(learning_rate)

    def epoch_finished(self, member: Member, record: EpochRecord, history: History) -> None:
        self.records.append(record)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="session")
def registry() -> Registry:
    return load_plugins().registry


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    digits = load_digits()
    x = torch.from_numpy(digits.data).to(torch.uint8)[:600]
    y = torch.from_numpy(digits.target).long()[:600]
    classes = tuple(str(i) for i in range(10))
    fields = {
        "x": Field("x", "input", "features", (64,), "uint8"),
        "y": Field("y", "target", "categorical", (), "int64", classes=classes),
    }
    splits = {"train": torch.arange(450), "val": torch.arange(450, 600)}
    return Dataset(fields, {"x": x, "y": y}, splits, Task.MULTICLASS, False, "digits")


@pytest.fixture(scope="session")
def batches(dataset: Dataset) -> InMemoryBatches:
    return InMemoryBatches(dataset, torch.device("cpu"))


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


@pytest.fixture(scope="session")
def member(registry: Registry, dataset: Dataset) -> Callable[..., Member]:
    def make(**changes: Any) -> Member:
        standardize = registry.create("preprocessor", "standardize")
        base = Member(
            identity="",
            seed=7,
            architecture=registry.create("architecture", "mlp", hidden=[32], dropout=0.1, norm="batch"),
            io=input_output(dataset, (standardize,)),
            loss=registry.create("loss", "cross_entropy"),
            optimizer=registry.create("optimizer", "adam", lr=3e-3),
            schedule=registry.create("schedule", "constant"),
            training_rows=dataset.splits["train"],
            validation_rows=dataset.splits["val"],
            epochs=6,
            batch_size=64,
            metrics={"accuracy": registry.create("metric", "accuracy")},
            preprocessing=fit_preprocessing(dataset, (standardize,), dataset.splits["train"]),
        )
        return replace(base, **changes)

    return make
