"""Steps on one batch, again and again, until it is learnt or it is plain that it will not be."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from dlcli.contracts.batch import Batch
from dlcli.contracts.member import Member
from dlcli.experiment.overfitting.bare import switch_off_randomness
from dlcli.experiment.overfitting.bounds import Bounds, right_share
from dlcli.training.evaluation import forward
from dlcli.training.network import build_network, seed_epoch
from dlcli.training.step import Step
from dlcli.training.threads import suitable_threads

STEPS = 1000
"""Most steps of an attempt; its rate falls to 0 over them as a cosine, so that losses with a kink settle, too."""
PATIENCE, PROGRESS = 100, 0.01
"""Steps without a loss that is so much of what is still to go below the best one end an attempt."""
Progressing = Callable[[str, int, int, float], None]
"""Is told how far an attempt is: its name, its steps, how many at most, the loss."""


@dataclass(frozen=True)
class Attempt:
    """One series of steps from fresh initial values.

    Args:
        optimizer: Name of the optimizer.
        learning_rate: Rate of its first step.
        losses: Loss of the batch before each step.
        accuracy: Share of the batch's classes or labels that are right in the end; None for regression.
        seconds: Wall time.
        reached: Whether the loss came down to the goal.
        ended: What ended it.
        falling: Whether the loss still fell when the steps were used up: the second half of them took a third or more
            off what was left to go.
    """

    optimizer: str
    learning_rate: float
    losses: tuple[float, ...]
    accuracy: float | None
    seconds: float
    reached: bool
    ended: str
    falling: bool

    @property
    def steps(self) -> int:
        """Steps that led to the last loss."""
        return len(self.losses) - 1

    @property
    def best(self) -> float:
        """The smallest loss; infinite where none was finite."""
        return min((loss for loss in self.losses if math.isfinite(loss)), default=math.inf)

    @property
    def diverged(self) -> bool:
        """Whether the loss became NaN or infinite."""
        return not math.isfinite(self.losses[-1])


def attempt(
    member: Member,
    batch: Batch,
    bounds: Bounds,
    device: torch.device,
    *,
    adam: float | None = None,
    progress: Progressing | None = None,
) -> tuple[Attempt, nn.Module]:
    """Train a fresh network on one batch.

    Args:
        member: Whose network, loss and optimizer; without regularization.
        batch: The batch.
        bounds: Says when it is learnt.
        device: Where the batch is.
        adam: Rate of Adam, to take its steps instead of the member's optimizer's; None for the member's own.
        progress: Is told after every step.

    Returns:
        What became of it, and the network in training mode.
    """
    network = build_network(member, device)
    switch_off_randomness(network)
    seed_epoch((), member, 1, device)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    rate = float(member.optimizer.lr) if adam is None else adam
    name = member.optimizer.name if adam is None else "adam"
    optimizer = (
        member.optimizer.build(trained, lr=rate, weight_decay=0.0)
        if adam is None
        else torch.optim.Adam(trained, lr=rate)
    )
    step, group = Step(member, network, optimizer, device), optimizer.param_groups[0]
    step.start_epoch(1)
    began, losses = time.perf_counter(), list[float]()
    ended, best, best_at = f"after {STEPS} steps, the most", math.inf, 0
    with suitable_threads(network, member):
        for index in range(STEPS + 1):
            group["lr"] = rate * (1 + math.cos(math.pi * min(1.0, index / STEPS))) / 2
            loss = float(step(batch))
            losses.append(loss)
            if progress is not None:
                progress(f"{name} {rate:g}", index, STEPS, loss)
            if not math.isfinite(loss):
                ended = f"the loss became {loss}"
                break
            if loss <= bounds.goal:
                ended = "learnt"
                break
            if best - loss > PROGRESS * (best - bounds.floor) or index == 0:
                best, best_at = loss, index
            elif index - best_at >= PATIENCE:
                ended = f"the loss did not fall for {PATIENCE} steps"
                break
        with torch.no_grad():
            share = right_share(member.io.task, forward(network, batch.inputs, batch), batch)
    falling = len(losses) > STEPS and losses[-1] - bounds.floor < 2 / 3 * (losses[STEPS // 2] - bounds.floor)
    reached = ended == "learnt"
    seconds = time.perf_counter() - began
    return Attempt(name, rate, tuple(losses), share, seconds, reached, ended, falling), network
