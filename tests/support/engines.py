"""Runs the same population through both engines, in float32 or float64."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from dlcli.contracts.batch import Batch, StackedRows
from dlcli.contracts.member import Engine, Halving, Member, Result
from dlcli.data.batches import InMemoryBatches
from dlcli.training.fit import fit
from dlcli.training.tensor_tables import flatten, unflatten

CPU = torch.device("cpu")


class Double:
    """Batches in float64, for comparing engines without float32's rounding."""

    def __init__(self, batches: InMemoryBatches) -> None:
        self._batches = batches

    def steps(self, member: Member) -> int:
        return self._batches.steps(member)

    def training(self, member: Member, epoch: int) -> Iterator[Batch]:
        return map(_double, self._batches.training(member, epoch))

    def evaluation(self, member: Member, rows: Tensor) -> Iterator[Batch]:
        return map(_double, self._batches.evaluation(member, rows))

    def stacked_training(self, members: Sequence[Member], epoch: int) -> Iterator[Batch]:
        return map(_double, self._batches.stacked_training(members, epoch))

    def stacked_evaluation(self, members: Sequence[Member], rows: Sequence[Tensor]) -> StackedRows:
        found = self._batches.stacked_evaluation(members, rows)
        return replace(found, batches=((_double(batch), counts) for batch, counts in found.batches))


def _double(batch: Batch) -> Batch:
    tensors = [tensor.double() if tensor.is_floating_point() else tensor for tensor in flatten(batch)]
    return unflatten(batch, tensors)


@contextmanager
def float64() -> Iterator[None]:
    """Build networks in float64 while entered."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


class Silent:
    """A watch that keeps notes, and asks to end once a member has finished a given epoch."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after, self.epoch = stop_after, 0
        self.notes: list[str] = []

    def interrupted(self) -> bool:
        return self.stop_after is not None and self.epoch >= self.stop_after

    def epoch_started(self, *_: object) -> None: ...

    def step_finished(self, *_: object) -> None: ...

    def epoch_finished(self, member: Member, record: object, history: object) -> None:
        self.epoch = max(self.epoch, len(history.records))

    def note(self, text: str) -> None:
        self.notes.append(text)


def train(
    members: Sequence[Member],
    batches: object,
    directory: Path,
    engine: Engine,
    *,
    watch: Silent | None = None,
    resume: bool = False,
    halving: Halving | None = None,
    seconds: float = 1e9,
) -> list[Result]:
    directory.mkdir(exist_ok=True, parents=True)
    return fit(
        members,
        batches,
        directory=directory,
        device=CPU,
        watch=watch or Silent(),
        checkpoint_seconds=seconds,
        resume=resume,
        engine=engine,
        halving=halving,
    )


def same_bits(first: Sequence[Result], second: Sequence[Result]) -> None:
    for one, other in zip(first, second, strict=True):
        assert (one.identity, one.selected_epoch, one.best_epoch) == (
            other.identity,
            other.selected_epoch,
            other.best_epoch,
        )
        assert (one.stopped, one.pruned, one.failure) == (other.stopped, other.pruned, other.failure)
        assert [(r.epoch, r.learning_rate, r.values) for r in one.history.records] == [
            (r.epoch, r.learning_rate, r.values) for r in other.history.records
        ]
        assert one.state.keys() == other.state.keys()
        assert all(torch.equal(one.state[name], other.state[name]) for name in one.state)
