"""Averages of weights: a second network follows the one that is trained, and batch normalization is made to fit it."""

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from dlcli.contracts.averager import Averager
from dlcli.contracts.batch import Batch
from dlcli.contracts.schedule import Horizon
from dlcli.training.evaluation import forward


class Average:
    """Keeps the average of a network's weights; before the averager's first weight it is the network as it is.

    Args:
        averager: Weighs the parameters after each step.
        network: What is trained.
    """

    def __init__(self, averager: Averager, network: nn.Module) -> None:
        self.network = copy.deepcopy(network)
        self.started = False
        self._averager, self._trained = averager, network
        self._own = [p.data for p in self.network.parameters()]
        self._theirs = [p.data for p in network.parameters()]

    def take(self, step: int, horizon: Horizon) -> None:
        """Take the parameters in as they are after a step, counted from 0."""
        weight = self._averager.weight(step, horizon)
        if weight is None:
            return
        if weight == 1.0 or not self.started:
            torch._foreach_copy_(self._own, self._theirs)
        else:
            torch._foreach_lerp_(self._own, self._theirs, weight)
        self.started = True

    def settle(self, batches: Iterable[Batch]) -> None:
        """Make the network ready to be judged: its buffers are the trained one's, batch normalization re-estimated.

        Args:
            batches: The training rows.
        """
        with torch.no_grad():
            if not self.started:
                torch._foreach_copy_(self._own, self._theirs)
            for own, other in zip(self.network.buffers(), self._trained.buffers(), strict=True):
                own.copy_(other)
        if self.started:
            reestimate_batch_norm(self.network, batches)


def reestimate_batch_norm(network: nn.Module, batches: Iterable[Batch]) -> None:
    """Compute the running statistics of batch normalization anew: mean and variance over all rows, dropout off.

    Every batch counts alike, as in torch's `update_bn`. Nothing happens to a network that has none.

    Args:
        network: Changed in place; it is left in the mode in which it came.
        batches: The training rows.

    Source: Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization", section 3.2.
    """
    norms = [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    if not norms:
        return
    with _estimating(network, norms), torch.no_grad():
        for batch in batches:
            forward(network, batch.inputs, batch)


@contextmanager
def _estimating(network: nn.Module, norms: list[nn.modules.batchnorm._BatchNorm]) -> Iterator[None]:
    """Let nothing but batch normalization be in training mode, each batch counting as much as all before."""
    was_training, momenta = network.training, [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.train(was_training)
