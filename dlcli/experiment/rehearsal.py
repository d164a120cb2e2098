"""What is tried before training, so that what fails is told before a run folder is there."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from dlcli.contracts.batch import Batch
from dlcli.contracts.field import Field, InputOutput
from dlcli.contracts.history import EpochRecord
from dlcli.contracts.member import Member
from dlcli.contracts.task import Task
from dlcli.errors import Problem, RecipeError, UsageError
from dlcli.layers.conditional import UnfitConditionsError
from dlcli.layers.input_layers import UnfitInputLayersError
from dlcli.layers.squashing import squashed_by
from dlcli.layers.window_watch import WindowWatch
from dlcli.training.network import build_network
from dlcli.training.out_of_memory import out_of_memory_told
from dlcli.training.regularization import Regularization
from dlcli.training.switches import unfit_switch

CPU = torch.device("cpu")
MISFITS = {UnfitInputLayersError: "model.inputs", UnfitConditionsError: "model.conditions"}
"""Where in the recipe is what does not fit, by the error of building a network; else it is the architecture."""


def check_member(member: Member) -> None:
    """Refuse a member whose network cannot be built, compute a row, or train by single rows or with its regularizers.

    So is one whose network ends in a softmax or sigmoid where logits are wanted: losses and metrics take it themselves.

    Args:
        member: Any member of its kind.

    Raises:
        RecipeError: It cannot, or its loss cannot be of scaled targets; the place in the recipe is said.
        TrainingError: It is larger than memory.
    """
    try:
        with out_of_memory_told(lambda: "where the network was built", CPU, member.batch_size):
            network = build_network(member, CPU)
            with torch.random.fork_rng(devices=[]), WindowWatch(network, member.architecture.name):
                output = _on_one_row(network.eval(), member)
    except ValueError as error:
        key = next((key for kind, key in MISFITS.items() if isinstance(error, kind)), "model.architecture")
        raise RecipeError([Problem("", key, str(error))]) from error
    if (last := squashed_by(output, member.io.task)) is not None:
        message = (
            f"the network of {member.architecture.name} ends in a {last}, but must answer logits: the loss "
            f"{member.loss.name}, metrics and predictions make probabilities of them, so that it would be done twice; "
            "leave it out of the architecture"
        )
        raise RecipeError([Problem("", "model.architecture", message)])
    normalizes = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
    if member.batch_size == 1 and normalizes and _refuses_one_row(network, member):
        message = "batch normalization needs at least 2 rows in a batch, got 1; use a larger batch or another norm"
        raise RecipeError([Problem("", "train.batch_size", message)])
    if (unfit := unfit_switch(network, member)) is not None:
        raise RecipeError([Problem("", *unfit)])
    try:
        member.trained_loss  # noqa: B018 - it is made where it is first asked for
    except ValueError as error:
        raise RecipeError([Problem("", "train.loss", f"{member.loss.name}: {error}")]) from error
    try:
        rehearse_regularizers(network, member)
    except UsageError as error:
        raise RecipeError([Problem("", "regularizers", str(error))]) from error


def _refuses_one_row(network: nn.Module, member: Member) -> bool:
    """Return whether some batch normalization gets one value a channel from one row; convolutions give it more."""
    try:
        _on_one_row(network.train(), member)
    except ValueError as error:
        return "more than 1 value per channel" in str(error)
    return False


def _on_one_row(network: nn.Module, member: Member) -> Tensor:
    """Run a network on a row of zeros."""
    inputs, conditions = (
        tuple(rows_of_zeros(field, 1) for field in fields) for fields in (member.io.inputs, member.io.conditions)
    )
    output: Tensor = network(*inputs, **({"conditions": conditions} if conditions else {}))
    return output


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
    targets = member.io.outputs // member.loss.outputs_per_target
    batch = _batch(replace(member.io, outputs=targets), min(2, member.batch_size))
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
