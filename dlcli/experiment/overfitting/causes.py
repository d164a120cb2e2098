"""Why a network did not learn a batch by heart, in the order in which to look."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from dlcli.contracts.batch import Batch
from dlcli.contracts.member import Member
from dlcli.experiment.overfitting.attempt import Attempt
from dlcli.training.evaluation import forward
from dlcli.training.objective import batch_loss, position_mask

DEAD = 0.5
"""Share of a layer's units that give one value whatever the row, from which on it is worth telling."""
LARGE = 10.0
"""Root mean square of a regression's targets from which on, or 1 over which, steps of usual rates get nowhere."""
SHOWN = 3
"""Most rows, layers and parameters that are named."""


def causes(
    attempts: Sequence[Attempt],
    member: Member,
    batch: Batch,
    network: nn.Module,
    clashes: Sequence[str],
    floor: float,
    enough: float,
) -> Iterator[str]:
    """Yield what may have kept a network from learning a batch by heart.

    Args:
        attempts: What was tried, the recipe's own optimizer first.
        member: Whose network.
        batch: The batch.
        network: That of the best attempt, in training mode.
        clashes: A text for each group of rows that contradict one another.
        floor: What the loss cannot be below because of these.
        enough: Loss that is as good as that.

    Yields:
        str: A cause.
    """
    if far := _far_targets(member, batch):
        yield far
    diverged = [f"{each.optimizer} at {each.learning_rate:g}" for each in attempts if each.diverged]
    if diverged:
        yield f"learning rate: too high, with {', '.join(diverged)} the loss was no longer finite"
    best = min(attempts, key=lambda each: each.best)
    if best.falling and best.best > enough:
        yield (
            f"learning rate: too low, or the network learns slowly: with {best.optimizer} at {best.learning_rate:g} "
            f"the loss still fell after {best.steps} steps; other rates are tried by --set train.optimizer.lr=…, and "
            "dlcli train --find-lr suggests one"
        )
    if clashes:
        more = f", and {len(clashes) - SHOWN} more" if len(clashes) > SHOWN else ""
        yield (
            f"identical inputs with different targets: {'; '.join(clashes[:SHOWN])}{more}; because of them no network "
            f"gets below a loss of {floor:.4g}: look at the data with dlcli data check"
        )
    dead, without = _dead_units(network, batch), _without_gradient(network, member, batch)
    if dead:
        yield (
            f"dead units: {_some(dead)} give one value whatever the row; lower the learning rate, standardize the "
            "inputs, or take an activation that never dies, such as leaky_relu, and an init that suits it"
        )
    if without:
        yield f"no gradient reaches {_some(without)}: the loss does not depend on them"
    counted = sum(parameter.numel() for parameter in network.parameters())
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    if trained < counted:
        yield f"frozen parameters: only {trained:,} of {counted:,} are trained; leave out train.freeze"
    numbers = _numbers(batch)
    if _is_affine(network, batch):
        yield (
            f"a linear network: its answers are an affine map of its inputs, which with {trained:,} trained parameters "
            f"need not fit the {numbers:,} numbers of a batch; take mlp, or train.batch_size smaller"
        )
    elif trained <= numbers:
        yield (
            f"too small a network: {trained:,} trained parameters for {numbers:,} numbers to learn; make it wider or "
            "deeper, or train.batch_size smaller"
        )


def _numbers(batch: Batch) -> int:
    """Return how many classes, labels or values the rows and positions that count have."""
    target = batch.target
    counted = torch.ones_like(target, dtype=torch.bool)
    if batch.weight is not None:
        counted &= (batch.weight != 0).view(-1, *[1] * (target.ndim - 1))
    mask = position_mask(batch, target.shape[1]) if target.ndim > 1 else None
    if mask is not None and mask.shape == target.shape[:2]:
        counted &= mask.bool().view(*mask.shape, *[1] * (target.ndim - 2))
    return int(counted.sum())


def _far_targets(member: Member, batch: Batch) -> str | None:
    """Return what is to be said of targets of a regression whose size no fresh network's outputs have."""
    if member.io.task.classifies or member.target_scale is not None:
        return None
    size = batch.target.double().square().mean().sqrt()
    if 1 / LARGE <= size <= LARGE:
        return None
    return (
        f"the size of the targets: they are about {float(size):.4g}, where outputs of a fresh network are about 1; set "
        "scale_target = true under [data]"
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _dead_units(network: nn.Module, batch: Batch) -> list[str]:
    """Return a text for each activation of whose units half or more give one value for all rows that count."""
    counted = slice(None) if batch.weight is None else batch.weight != 0
    found: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, object, object], None]:
        def look(module: nn.Module, arguments: object, output: object) -> None:
            if not isinstance(output, Tensor) or output.ndim < 2 or len(output) != len(batch.target):
                return
            rows = output[counted]
            # Units are channels of maps and numbers of a step; each may give something at any pixel or step.
            units = rows.movedim(-1 if rows.ndim == 3 else 1, 0).flatten(1)
            dead = int((units.amax(1) == units.amin(1)).sum())
            if dead >= DEAD * len(units):
                found.append(f"{dead} of {len(units)} of {name}")

        return look

    handles = [
        module.register_forward_hook(watch(name))
        for name, module in network.named_modules()
        if name.rpartition(".")[2] == "activation" and type(module) is not nn.Identity
    ]
    try:
        with torch.no_grad():
            forward(network, batch.inputs, batch)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _without_gradient(network: nn.Module, member: Member, batch: Batch) -> list[str]:
    """Return the names of trained parameters that the loss does not depend on."""
    trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    if not trained:
        return []
    loss = batch_loss(member.trained_loss, forward(network, batch.inputs, batch), (batch.target,), None, batch)
    if not loss.requires_grad:
        return list(trained)
    found = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
    return [name for name, gradient in zip(trained, found, strict=True) if gradient is None]


def _is_affine(network: nn.Module, batch: Batch) -> bool:
    """Return whether what a network answers between two rows lies in the middle of its answers to them."""
    if batch.conditions or batch.lengths is not None or len(batch.target) < 3:
        return False
    if not all(values.is_floating_point() for values in batch.inputs):
        return False
    between = tuple((values + values.roll(1, 0)) / 2 for values in batch.inputs)
    network.eval()
    with torch.no_grad():
        answers, middle = forward(network, batch.inputs, batch), forward(network, between, batch)
    network.train()
    expected = (answers + answers.roll(1, 0)) / 2
    return torch.allclose(middle, expected, rtol=1e-3, atol=1e-3 * float(answers.std()))
