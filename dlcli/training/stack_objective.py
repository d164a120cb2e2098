"""What one member of a stack makes small, from its own slices of the stack's tensors; the function that vmap maps."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dlcli.contracts.batch import Batch
from dlcli.contracts.component import Component
from dlcli.contracts.member import Member
from dlcli.contracts.regularizer import Regularizer
from dlcli.training.evaluation import forward
from dlcli.training.masks import MaskPlan, set_sources
from dlcli.training.network import active_dropouts
from dlcli.training.regularization import Regularization
from dlcli.training.stacked_network import StackedNetwork

Numbers = dict[str, dict[str, Tensor]]
"""Per-member numbers of a component by dotted path, by the component's place in the recipe."""


class Inputs(NamedTuple):
    """All that a step computes with; of a stack with a leading member axis, of a member without.

    Args:
        parameters: Those that are trained, by name.
        fixed: Frozen ones.
        buffers: The network's.
        numbers: Per-member numbers of loss, regularizers and optimizer.
        batch: The batch.
        bits: Dropout's random bits, int16.
        noises: What each regularizer that draws has drawn, in order.
    """

    parameters: dict[str, Tensor]
    fixed: dict[str, Tensor]
    buffers: dict[str, Tensor]
    numbers: Numbers
    batch: Batch
    bits: Tensor | None
    noises: Sequence[dict[str, Tensor]]


class StackObjective:
    """The objective of any member of a stack.

    Args:
        members: In the order of the stack; they differ in numbers alone.
        network: Their networks.
    """

    def __init__(self, members: Sequence[Member], network: StackedNetwork) -> None:
        self._first = members[0]
        self.network = network
        names = tuple(field.name for field in self._first.io.inputs)
        self.regularization = Regularization(self._first.regularizers, network.base, names)
        self.masks = MaskPlan()
        self.changing: list[str] = []

    def numbers(self, members: Sequence[Member], device: torch.device, dtype: torch.dtype) -> Numbers:
        """Return the per-member numbers that a step uses, (M,) each.

        Args:
            members: In the order of the stack.
            device: Where they are wanted.
            dtype: Of the parameters.

        Returns:
            Those of the loss, the optimizer, and each regularizer by its number.
        """

        def stacked(components: Sequence[Component]) -> dict[str, Tensor]:
            return stacked_numbers(components, device, dtype)

        regularizers = zip(*(member.regularizers for member in members), strict=True)
        return {
            "loss": stacked([member.trained_loss for member in members]),
            "optimizer": stacked([member.optimizer for member in members]),
            **{str(i): stacked(same) for i, same in enumerate(regularizers)},
        }

    def regularizers(self, numbers: Numbers) -> list[Regularizer]:
        """Return the regularizers with one member's numbers."""
        return [r.with_per_member(numbers[str(i)]) for i, r in enumerate(self._first.regularizers)]

    def __call__(self, own: Inputs, network: nn.Module | None = None) -> tuple[Tensor, Tensor]:
        """Return one member's loss, and the loss with penalties.

        Args:
            own: The member's slices.
            network: Whose code computes it; by default the first member's.

        Returns:
            Two 0-d tensors.
        """
        network = network or self.network.base
        if own.bits is not None:
            set_sources(active_dropouts(network), self.masks.replay(own.bits))
        parameters = {**own.parameters, **own.fixed}
        call = partial(outputs_with, network, {**parameters, **own.buffers}, own.batch)
        drawn = dict(zip(self.regularization.drawing, own.noises, strict=bool(own.noises)))
        loss = self._first.trained_loss.with_per_member(own.numbers["loss"])
        regularizers = self.regularizers(own.numbers)
        return self.regularization.objective(regularizers, loss, parameters, call, own.batch, drawn, network)

    def rehearse(self, own: Inputs) -> None:
        """Find out, with one forward pass of a member, which bits dropouts ask for and which buffers it changes.

        Args:
            own: The member's slices; its buffers are changed as training changes them.
        """
        before = {name: buffer.clone() for name, buffer in own.buffers.items()}
        self.masks = MaskPlan()
        set_sources(active_dropouts(self.network.base), self.masks.record)
        try:
            with torch.no_grad():
                self(own._replace(bits=None))
        finally:
            self.release()
        changed = {name for name, buffer in own.buffers.items() if not torch.equal(buffer, before[name])}
        # What one batch happened to leave as it was changes with the rest of its module.
        modules = {name.rpartition(".")[0] for name in changed}
        self.changing = [name for name in own.buffers if name.rpartition(".")[0] in modules]

    def release(self) -> None:
        """Take the sources of bits away from the networks, which otherwise hold on to a capture's tensors."""
        for network in (self.network.base, self.network.witness):
            set_sources(active_dropouts(network), None)


def stacked_numbers(components: Sequence[Component], device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the per-member numbers of the members' components by dotted path, (M,) each."""
    each = [component.per_member() for component in components]
    return {path: torch.tensor([numbers[path] for numbers in each], device=device, dtype=dtype) for path in each[0]}


def outputs_with(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    batch: Batch,
    inputs: tuple[Tensor, ...],
    changed: Mapping[str, Tensor],
) -> Tensor:
    """Return the outputs of a network with given parameters and buffers, the batch's offset added."""
    from torch.func import functional_call

    def call(*arguments: Tensor, **extra: Any) -> Tensor:
        output: Tensor = functional_call(network, {**tensors, **changed}, arguments, extra)
        return output

    return forward(call, inputs, batch)
