"""What regularizers are asked before training, so that they say what they miss before a run folder is there."""

import torch
from torch import Tensor, nn

from dlcli.contracts.batch import Batch
from dlcli.contracts.field import Field, InputOutput
from dlcli.contracts.history import EpochRecord
from dlcli.contracts.member import Member
from dlcli.contracts.task import Task
from dlcli.training.regularization import Regularization

CPU = torch.device("cpu")


def rehearse_regularizers(network: nn.Module, member: Member) -> None:
    """Let the regularizers of a member change a first batch and judge a first epoch.

    Args:
        network: The member's.
        member: Whose.

    Raises:
        UsageError: One has nothing to work on.
    """
    names = tuple(field.name for field in member.io.inputs)
    regularization = Regularization(member.regularizers, network, names)
    streams = regularization.streams(member.seed, 1, CPU)
    batch = _batch(member.io, min(2, member.batch_size))
    noises = regularization.draw(member.regularizers, streams, batch.inputs, dict(network.named_parameters()))
    regularization.changed_batch(member.regularizers, batch, noises)
    judged = ("loss", *member.metrics) if member.validation_rows is not None else ()
    values = {name: 1.0 for name in ("train_loss", *(f"val_{name}" for name in judged), member.monitor)}
    history = member.history([EpochRecord(1, 0.0, values, 0.0)])
    for regularizer in member.regularizers:
        regularizer.stop(history)


def rows_of_zeros(field: Field, rows: int) -> Tensor:
    """Return preprocessed rows of a field that are all 0."""
    whole = field.kind in ("tokens", "categorical")
    return torch.zeros((rows, *field.shape), dtype=torch.int64 if whole else torch.float32)


def _batch(io: InputOutput, rows: int) -> Batch:
    positions = io.inputs[0].shape[:1] if io.per_position else ()
    classes = io.task is Task.MULTICLASS
    shape = (rows, *positions) if classes else (rows, *positions, io.outputs)
    target = torch.zeros(shape, dtype=torch.int64 if classes else torch.float32)
    return Batch(tuple(rows_of_zeros(field, rows) for field in io.inputs), target)
