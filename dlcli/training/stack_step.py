"""One optimizer step of a whole stack: one captured forward and backward pass, one optimizer step, one projection."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dlcli.contracts.batch import Batch
from dlcli.contracts.member import Member
from dlcli.errors import DlcliError
from dlcli.layers.over_members import over_members
from dlcli.training.capture import Captured, capture
from dlcli.training.narrow_products import transpose_narrow_products
from dlcli.training.stack_objective import Inputs, Numbers, StackObjective
from dlcli.training.stack_optimizer import StackOptimizer
from dlcli.training.stack_probe import check_against_eager
from dlcli.training.stacked_network import CannotStackError, StackedNetwork, why_not
from dlcli.training.tensor_tables import flatten, unflatten


class StackStep:
    """Takes the optimizer steps of a stack.

    Args:
        key: What decides the operations of a step, besides shapes: the members' common structure.
        members: In the order of the stack.
        network: Their networks.
        device: Where they live.

    Raises:
        CannotStackError: The optimizer does not stack.
    """

    def __init__(self, key: str, members: Sequence[Member], network: StackedNetwork, device: torch.device) -> None:
        self._key, self._network, self._device = key, network, device
        self._objective = StackObjective(members, network)
        self._regularization = self._objective.regularization
        self._rehearsed = False
        self._checked = False
        self.bind(members)

    def bind(self, members: Sequence[Member]) -> None:
        """Go on with these members, whose tensors the network now holds.

        Args:
            members: In the order of the stack.
        """
        self._members = list(members)
        dtype = next(iter(self._network.parameters.values())).dtype
        self._numbers = self._objective.numbers(members, self._device, dtype)
        self.optimizer = StackOptimizer(members, list(self._network.parameters.values()))
        self._captured: dict[bool, Captured] = {}  # for batches with weights, such as a filled last one, and without
        self._projection: Captured | None = None
        self._persistent: list[Tensor] = []
        self._bits: Iterator[Tensor] | None = None

    def start_epoch(self, epoch: int, steps: int) -> None:
        """Begin the random streams of an epoch.

        Args:
            epoch: Number of the epoch, from 1.
            steps: How many steps it has.
        """
        self._streams = [self._regularization.streams(m.seed, epoch, self._device) for m in self._members]
        self._place = (epoch, steps)
        self._bits = None

    def __call__(self, batch: Batch, rates: Sequence[float]) -> Tensor:
        """Take one step.

        Args:
            batch: Every tensor with a leading member axis, (M, B, …).
            rates: Learning rate of every member.

        Returns:
            Losses without penalties (M,), detached.

        Raises:
            CannotStackError: At the first step, where the members cannot be computed together.
        """
        noises = self._noises(batch)
        if not self._rehearsed:
            whole = self._inputs(batch, None, noises)
            self._objective.rehearse(unflatten(whole, [tensor[0].clone() for tensor in flatten(whole)]))
            self._rehearsed = True
        bits = self._next_bits()
        with torch.no_grad():
            weighted = batch.weight is not None
            captured = self._captured.get(weighted) or self._capture(self._inputs(batch, bits, noises))
            results = captured.run(*self._persistent, *flatten((batch, bits, noises)))
            with_gradient, changed = captured.names["gradients"], captured.names["buffers"]
            gradients = dict(zip(with_gradient, results[1:], strict=False))
            self._change_buffers(changed, results[1 + len(with_gradient) :])
            self.optimizer.step([gradients.get(name) for name in self._network.parameters], rates)
            if self._regularization.projects:
                self._project()
        return results[0]

    def _inputs(self, batch: Batch, bits: Tensor | None, noises: Sequence[dict[str, Tensor]]) -> Inputs:
        network = self._network
        return Inputs(network.parameters, network.fixed, network.buffers, self._numbers, batch, bits, noises)

    def _noises(self, batch: Batch) -> list[dict[str, Tensor]]:
        """Draw every member's noise and stack it."""
        if not self._regularization.drawing:
            return []
        inputs = tuple(x[0] for x in batch.inputs)
        shapes = {name: tensor[0] for name, tensor in self._network.parameters.items()}
        each = [
            self._regularization.draw(member.regularizers, streams, inputs, shapes)
            for member, streams in zip(self._members, self._streams, strict=True)
        ]
        return [
            {name: torch.stack([own[i][name] for own in each]) for name in each[0][i]}
            for i in self._regularization.drawing
        ]

    def _next_bits(self) -> Tensor | None:
        if not self._objective.masks.words:
            return None
        if self._bits is None:
            self._bits = self._objective.masks.draw(self._members, *self._place, self._device)
        return next(self._bits)

    def _change_buffers(self, names: Sequence[str], tensors: Sequence[Tensor]) -> None:
        first = len(self._network.parameters) + len(self._network.fixed)
        places = {name: first + i for i, name in enumerate(self._network.buffers)}
        for name, tensor in zip(names, tensors, strict=True):
            self._network.buffers[name] = self._persistent[places[name]] = tensor

    def _capture(self, inputs: Inputs) -> Captured:
        def step(tensors: Sequence[Tensor], names: dict[str, list[str]]) -> list[Tensor]:
            return self._losses_gradients_buffers(unflatten(inputs, list(tensors)), names)

        weighted = inputs.batch.weight is not None
        key = f"step {weighted} {self._key} {self._network.drops} {self.optimizer.decays_in_gradient}"
        try:
            captured = capture(key, step, flatten(inputs), [transpose_narrow_products])
            if not self._checked:
                check_against_eager(self._objective, inputs, captured)
                self._checked = True
        except (CannotStackError, DlcliError, MemoryError):
            raise
        except Exception as error:
            raise why_not(error) from error
        finally:
            self._objective.release()
        self._persistent = flatten(inputs[:4])
        self._captured[weighted] = captured
        return captured

    def _losses_gradients_buffers(self, whole: Inputs, names: dict[str, list[str]]) -> list[Tensor]:
        """Return losses (M,), the gradients, and the buffers that the forward pass changed; notes their names."""
        parameters = {name: p.detach().requires_grad_() for name, p in whole.parameters.items()}
        changing = self._objective.changing
        buffers = {name: b.clone() if name in changing else b for name, b in whole.buffers.items()}
        inputs = whole._replace(parameters=parameters, buffers=buffers)
        losses, objectives = _map(self._objective, inputs)
        found = torch.autograd.grad(objectives.sum(), list(parameters.values()), allow_unused=True)
        gradients = {name: g for name, g in zip(parameters, found, strict=True) if g is not None}
        detached = {name: p.detach() for name, p in whole.parameters.items()}
        with torch.no_grad():
            if self._regularization.changes_gradients:
                gradients = _map(self._changed_gradients, gradients, {**detached, **whole.fixed}, whole.numbers)
            if self.optimizer.decays_in_gradient:
                decay = whole.numbers["optimizer"]["weight_decay"]
                gradients = {
                    name: torch.addcmul(g, decay.view(-1, *[1] * (g.ndim - 1)), detached[name])
                    for name, g in gradients.items()
                }
        names["gradients"], names["buffers"] = list(gradients), changing
        return [losses.detach(), *gradients.values(), *(buffers[name] for name in changing)]

    def _changed_gradients(
        self, gradients: dict[str, Tensor], parameters: Mapping[str, Tensor], numbers: Numbers
    ) -> dict[str, Tensor]:
        return self._regularization.gradients(self._objective.regularizers(numbers), gradients, parameters)

    def _project(self) -> None:
        tables = (self._network.parameters, self._numbers)
        tensors = flatten(tables)

        def project(flat: Sequence[Tensor], names: dict[str, list[str]]) -> list[Tensor]:
            parameters, numbers = unflatten(tables, list(flat))
            moved = _map(
                lambda own, n: self._regularization.project(self._objective.regularizers(n), own), parameters, numbers
            )
            names["moved"] = list(moved)
            return list(moved.values())

        if self._projection is None:
            self._projection = capture(f"project {self._key}", project, tensors)
        moved = self._projection.run(*tensors)
        for name, tensor in zip(self._projection.names["moved"], moved, strict=True):
            self._network.parameters[name].copy_(tensor)


def _map(function: Any, *tables: Any) -> Any:
    """Map a function over the members of tables of tensors: vmap, which takes no None among its arguments."""
    like = tables
    return over_members(lambda *flat: function(*unflatten(like, list(flat))), *flatten(tables))
