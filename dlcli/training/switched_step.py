"""The optimizer step with switches: several batches a step, lower precision, compiled, with less memory."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from dlcli.contracts.batch import Batch
from dlcli.contracts.member import Member
from dlcli.contracts.regularizer import MixedBatch
from dlcli.errors import UsageError
from dlcli.training.accumulation import Share, StepBatch, shares
from dlcli.training.blocks import find_blocks, keeping_inputs
from dlcli.training.compilation import Compiled, compiling
from dlcli.training.evaluation import forward
from dlcli.training.objective import batch_loss
from dlcli.training.precision import lower_precision
from dlcli.training.regularization import Noises
from dlcli.training.step import Step
from dlcli.training.switches import unfit_switch


def make_step(member: Member, network: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> Step:
    """Return what takes the optimizer steps of a member in the loop engine.

    Args:
        member: Whose.
        network: Its network.
        optimizer: Over the network's trainable parameters.
        device: Where the network lives.

    Returns:
        The step; a plain one where the member has no switch that changes it.

    Raises:
        UsageError: The network or the regularizers cannot follow a switch.
    """
    kind = Step if member.switches.loop_only is None else SwitchedStep
    return kind(member, network, optimizer, device)


class SwitchedStep(Step):
    """Takes the optimizer steps of one member as its switches say.

    With several batches a step the loss is Σ w ℓ / Σ w over the rows of all of them, as if they were one batch;
    penalties are added once. In lower precision the network computes under `torch.autocast`, from float32 parameters
    to outputs that are float32 again before the loss. In float16 the loss is scaled before gradients are taken and
    these are unscaled before anything looks at them; a step whose gradients are not finite is left out.

    Args:
        member: Whose.
        network: Its network.
        optimizer: Over the network's trainable parameters.
        device: Where the network lives.

    Raises:
        UsageError: The network or the regularizers cannot follow a switch.
    """

    def __init__(
        self, member: Member, network: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
    ) -> None:
        super().__init__(member, network, optimizer, device)
        switches = member.switches
        if (unfit := unfit_switch(network, member)) is not None:
            raise UsageError(f"{unfit[0]} = {unfit[1]}")
        self._optimizer = optimizer
        self._precision = switches.precision
        self._scaler = torch.amp.GradScaler(device.type) if switches.precision == "float16" else None
        if self._scaler is not None:
            self._step_optimizer = self._scaled_step
        self._blocks = find_blocks(network) if switches.activation_checkpointing else ()
        self._called: Callable[..., Tensor] = Compiled(network) if switches.compile else network

    def __call__(self, batch: StepBatch) -> Tensor:
        """Take one step on one or several batches at the optimizer's present rate.

        Args:
            batch: A training batch, or several that make one step.

        Returns:
            The loss over the rows of all of them without penalties, 0-d, detached, on the device.
        """
        batches = batch if isinstance(batch, list) else [batch]
        prepared = [self._prepare(each) for each in batches]
        each_share: list[Share] | list[None] = [None]
        if len(batches) > 1:
            mixed = [changed for changed, _ in prepared]
            each_share = shares(self.member.trained_loss, batches, mixed, per_position=self.member.io.per_position)
        for parameter in self._trained:
            parameter.grad = None
        with compiling() if self.member.switches.compile else nullcontext():
            losses = [
                self._backward(each, *given, share)
                for each, given, share in zip(batches, prepared, each_share, strict=True)
            ]
        with torch.no_grad():
            self._update()
        return sum(losses[1:], losses[0])

    def state(self) -> dict[str, float]:
        """Return what the scaling of float16 has come to, to go on from."""
        if self._scaler is None:
            return {}
        return {key: self._scaler.state_dict()[key] for key in ("scale", "_growth_tracker")}

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from what `state` returned."""
        if self._scaler is not None and state:
            self._scaler.load_state_dict({**self._scaler.state_dict(), **state})

    def _prepare(self, batch: Batch) -> tuple[MixedBatch, Noises]:
        """Draw a batch's noise, and change the batch by it."""
        member, regularization = self.member, self._regularization
        if not regularization.changes_forward:
            return MixedBatch(batch.inputs, (batch.target,)), {}
        noises = regularization.draw(member.regularizers, self._streams, batch.inputs, self._parameters)
        return regularization.changed_batch(member.regularizers, batch, noises), noises

    def _backward(self, batch: Batch, mixed: MixedBatch, noises: Noises, share: Share | None) -> Tensor:
        """Add a batch's gradients; return its part of the loss, detached."""
        member, regularization = self.member, self._regularization
        if regularization.changes_forward:
            call = partial(self._forward, batch)
            value, objective = regularization.objective(
                member.regularizers,
                member.trained_loss,
                self._parameters,
                call,
                batch,
                noises,
                mixed=mixed,
                share=share,
            )
        else:
            output = self._forward(batch, mixed.inputs, {})
            whole = None if share is None else share.weight
            value = objective = batch_loss(member.trained_loss, output, mixed.targets, None, batch, whole)
        scaled = objective if self._scaler is None else self._scaler.scale(objective)
        torch.autograd.backward(scaled, self._one)
        return value.detach()

    def _forward(self, batch: Batch, inputs: tuple[Tensor, ...], changed: Mapping[str, Tensor]) -> Tensor:
        network = self._with(changed) if changed else self._called

        def call(*arguments: Tensor, **extra: object) -> Tensor:
            with keeping_inputs(self._blocks) if self._blocks else nullcontext():
                if self._precision == "float32":
                    return network(*arguments, **extra)
                with lower_precision(self._precision, self.device):
                    output = network(*arguments, **extra)
            # Losses, and offsets added to outputs, are float32.
            return output.float()

        return forward(call, inputs, batch)

    def _update(self) -> None:
        if self._scaler is not None:
            self._scaler.unscale_(self._optimizer)
        super()._update()

    def _scaled_step(self) -> None:
        """Take the optimizer's step, unless a gradient is not finite; settle the scale of the next one."""
        assert self._scaler is not None
        self._scaler.step(self._optimizer)
        self._scaler.update()
