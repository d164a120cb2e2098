"""A member without what keeps it from learning a batch by heart."""

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from dlcli.contracts.component import implements
from dlcli.contracts.loss import Loss
from dlcli.contracts.member import Member
from dlcli.contracts.regularizer import Regularizer
from dlcli.contracts.task import REGRESSION, Task
from dlcli.layers.dropout import Dropout, Randomized

HINDERING = ("batch", "mix", "parameters", "activity", "penalty", "project")
"""Methods of a regularizer that stand in the way; clipping gradients does not, and nothing here stops by epochs."""


class PredictionError(Loss):
    """Squared error of what another loss takes for the prediction: (prediction − y)², the mean over targets.

    Stands for a loss with several outputs a target where it is to become near zero.

    Args:
        of: The other loss.

    Shape:
        output (…, k · R), or predictions (…, R), and target (…, R) give (…).
    """

    name: ClassVar[str] = "squared error of predictions"
    tasks: ClassVar[frozenset[Task]] = REGRESSION

    of: Loss

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over targets for every sample."""
        predicted = output if output.shape == target.shape else self.of.prediction(output)
        return (predicted - target).square().mean(-1)


def without_regularization(member: Member) -> tuple[Member, tuple[str, ...]]:
    """Return a member that nothing hinders but its network, its loss and its optimizer, and what was switched off.

    Off are regularizers that change rows, parameters or the loss, weight decay and label smoothing; a loss with several
    outputs a target, or that weighs errors to either side otherwise, gives way to the error of its predictions; frozen
    parameters stay frozen, since they belong to the network.

    Args:
        member: Whose.

    Returns:
        The member, and a text for each thing that was switched off.
    """
    kept, off = [], []
    for regularizer in member.regularizers:
        if _hinders(regularizer):
            off.append(regularizer.name)
        else:
            kept.append(regularizer)
    optimizer = member.optimizer
    if float(optimizer.weight_decay):
        off.append(f"weight decay {float(optimizer.weight_decay):g}")
        optimizer = optimizer.model_copy(update={"weight_decay": 0.0})
    loss = member.loss if member.training_loss is None else member.training_loss
    if loss.outputs_per_target > 1:
        off.append(f"{loss.name}, whose value has no floor, for the squared error of its predictions")
        loss = PredictionError(of=loss)
    elif member.io.task is Task.REGRESSION and _is_lopsided(loss, member.io.outputs):
        off.append(f"{loss.name}, which pulls little from one side, for the squared error")
        loss = PredictionError(of=loss)
    if smoothing := float(getattr(loss, "label_smoothing", 0.0)):
        off.append(f"label smoothing {smoothing:g}")
        loss = loss.model_copy(update={"label_smoothing": 0.0})
    if type(member.schedule).name != "constant":
        off.append(f"the schedule {member.schedule.name}")
    bare = replace(member, regularizers=tuple(kept), optimizer=optimizer, training_loss=loss)
    return bare, tuple(off)


def _is_lopsided(loss: Loss, targets: int) -> bool:
    """Return whether answers above the target cost otherwise than those as far below it."""
    zero, one = torch.zeros(1, targets), torch.ones(1, targets)
    return not torch.equal(loss.values(one, zero), loss.values(-one, zero))


def switch_off_randomness(network: nn.Module) -> tuple[str, ...]:
    """Make a network in training mode answer alike at every step; batch normalization keeps to the batch.

    Args:
        network: Changed in place: dropout, ours and torch's, and other random modules are put into evaluation mode.

    Returns:
        A text for each kind of module that is random in training, with how many there are.
    """
    found: dict[str, int] = {}
    for module in network.modules():
        if isinstance(module, Randomized | _DropoutNd | nn.RReLU):
            module.eval()
            passes = isinstance(module, Randomized) and not module.active
            if not passes:
                kind = _kind(module)
                found[kind] = found.get(kind, 0) + 1
        # torch's own modules of several layers hold a rate instead of a module.
        elif isinstance(module, nn.RNNBase | nn.MultiheadAttention) and module.dropout:
            module.dropout = 0.0
            found["dropout"] = found.get("dropout", 0) + 1
    return tuple(kind if count == 1 else f"{kind} in {count} layers" for kind, count in found.items())


def _hinders(regularizer: Regularizer) -> bool:
    return any(implements(regularizer, method) for method in HINDERING)


def _kind(module: nn.Module) -> str:
    if isinstance(module, Dropout) and module.kind == "rows":
        return "stochastic depth"
    return "dropout" if isinstance(module, Dropout | _DropoutNd) else f"the randomness of {type(module).__name__}"
