"""One optimizer step of one member: batch → parameters → forward → loss + penalties → gradients → step → project."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from dlcli.contracts.batch import Batch
from dlcli.contracts.member import Member
from dlcli.training.accumulation import StepBatch
from dlcli.training.evaluation import forward
from dlcli.training.fused_adam import fused_adam_step
from dlcli.training.objective import batch_loss
from dlcli.training.regularization import Regularization


def bare_step(optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    """Return an optimizer's step without the wrappers that torch puts around its own optimizers' steps.

    They open a profiler range, look for hooks and talk to the compiler, which takes a small network longer than the
    fused update itself. The caller switches gradients off. Anybody else's optimizer keeps its wrappers.
    """
    step: Callable[..., object] = type(optimizer).step
    if not type(optimizer).__module__.startswith("torch.optim."):
        return optimizer.step
    while hasattr(step, "__wrapped__"):
        step = step.__wrapped__
    own, quick = partial(step, optimizer), fused_adam_step(optimizer)
    if quick is None:
        return own
    return lambda: quick() or own()


def in_layout_of(parameter: Tensor, gradient: Tensor) -> Tensor:
    """Return a gradient laid out in memory as its parameter is: fused optimizers walk both in the order of memory."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter, requires_grad=False).copy_(gradient)


class Step:
    """Takes the optimizer steps of one member in the loop engine.

    Args:
        member: Whose.
        network: Its network.
        optimizer: Over the network's trainable parameters.
        device: Where the network lives.
    """

    def __init__(
        self, member: Member, network: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
    ) -> None:
        self.member, self.network, self.device = member, network, device
        self._step_optimizer: Callable[[], object] = bare_step(optimizer)
        names = tuple(field.name for field in member.io.inputs)
        self._regularization = Regularization(member.regularizers, network, names)
        self._parameters = dict(network.named_parameters())
        self._trained = [p for p in network.parameters() if p.requires_grad]
        self._streams: dict[int, torch.Generator] = {}
        # Given, because torch would make it anew at every step.
        self._one = torch.ones((), device=device)

    def start_epoch(self, epoch: int) -> None:
        """Begin the random streams of an epoch."""
        self._streams = self._regularization.streams(self.member.seed, epoch, self.device)

    def __call__(self, batch: StepBatch) -> Tensor:
        """Take one step on a batch at the optimizer's present rate.

        Args:
            batch: A training batch.

        Returns:
            The batch's loss without penalties, 0-d, detached, on the device.
        """
        assert isinstance(batch, Batch)  # several make one where a switch says so
        member, regularization = self.member, self._regularization
        if regularization.changes_forward:
            noises = regularization.draw(member.regularizers, self._streams, batch.inputs, self._parameters)
            call = partial(self._forward, batch)
            loss, objective = regularization.objective(
                member.regularizers, member.trained_loss, self._parameters, call, batch, noises
            )
        else:
            output = forward(self.network, batch.inputs, batch)
            loss = objective = batch_loss(member.trained_loss, output, (batch.target,), None, batch)
        for parameter in self._trained:
            parameter.grad = None
        torch.autograd.backward(objective, self._one)
        with torch.no_grad():
            self._update()
        return loss.detach()

    def state(self) -> Mapping[str, float]:
        """Return what a step carries on to the next besides the optimizer's state: nothing."""
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from what `state` returned."""

    def _update(self) -> None:
        """Change the gradients, take the optimizer's step, move parameters; gradients are switched off."""
        regularization = self._regularization
        if regularization.changes_gradients:
            self._change_gradients()
        self._step_optimizer()
        if regularization.projects:
            for name, tensor in regularization.project(self.member.regularizers, self._parameters).items():
                self._parameters[name].copy_(tensor)

    def _forward(self, batch: Batch, inputs: tuple[Tensor, ...], changed: Mapping[str, Tensor]) -> Tensor:
        return forward(self._with(changed) if changed else self.network, inputs, batch)

    def _with(self, changed: Mapping[str, Tensor]) -> Callable[..., Tensor]:
        """Return the network with other parameters in the place of some."""
        # torch.func costs most of a second to import: only where a regularizer changes parameters.
        from torch.func import functional_call

        def call(*arguments: Tensor, **extra: object) -> Tensor:
            output: Tensor = functional_call(self.network, dict(changed), arguments, extra)
            return output

        return call

    def _change_gradients(self) -> None:
        present = {name: p.grad for name, p in self._parameters.items() if p.grad is not None}
        changed = self._regularization.gradients(self.member.regularizers, present, self._parameters)
        for name, gradient in changed.items():
            self._parameters[name].grad = in_layout_of(self._parameters[name], gradient)
