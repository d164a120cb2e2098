"""What a training step costs at any batch size, from steps on a few rows: operations, and memory at its peak."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from dlcli.contracts.batch import Batch
from dlcli.contracts.member import Member
from dlcli.training.layer_costs import LayerCost, LayerCosts
from dlcli.training.live_memory import LiveMemory
from dlcli.training.network import active_dropouts, build_network, build_optimizer, seed_epoch
from dlcli.training.step import Step

FEW, MORE = 2, 4
"""Rows of the two steps that are looked at; batch normalization needs two."""
LARGEST = 2**40
"""Of batch sizes that are asked for, the largest: memory that no row needs would go on for ever."""


@dataclass(frozen=True)
class MemoryEstimate:
    """What one network takes of the device's memory while it trains, in bytes.

    Args:
        rows: Rows in a batch.
        parameters: Parameters and buffers.
        gradients: A gradient for every trained parameter.
        optimizer_state: What the optimizer keeps beside them: of SGD nothing, with momentum once, of Adam twice their
            size.
        copies: The best epoch's parameters, and their running average where there is an averager.
        data: The batch.
        activations: What the forward pass keeps for the backward pass.
        working: What a step needs at its peak beside all these: gradients of activations, and results on their way.
        total: All together.
    """

    rows: int
    parameters: int
    gradients: int
    optimizer_state: int
    copies: int
    data: int
    activations: int
    working: int
    total: int


@dataclass(frozen=True)
class _Watched:
    """One step on some rows."""

    rows: int
    layers: tuple[LayerCost, ...]
    forward_flops: int
    flops: int
    kept_bytes: int
    moments: tuple[int, ...]


class StepCosts:
    """What a step of a network costs, as a function of the rows in its batch.

    Everything in a step is some amount for each row and some amount that does not depend on them. Two steps on few rows
    tell both, of every layer and of every moment, and with them the memory at each moment of a step on many rows: the
    largest of these is its peak.

    Args:
        few: A step on few rows.
        more: The same step on more.
        fixed: Memory that does not depend on the rows; its `data` is that of one row, and what is left out is 0.
    """

    def __init__(self, few: _Watched, more: _Watched, fixed: MemoryEstimate) -> None:
        self._few, self._more, self._fixed = few, more, fixed
        alike = len(few.moments) == len(more.moments)
        # Where steps differ by more than sizes, their peaks are all that can be compared.
        peaks = list(zip(few.moments, more.moments, strict=True)) if alike else [(max(few.moments), max(more.moments))]
        self._peaks = sorted(set(peaks))

    @property
    def forward_flops(self) -> float:
        """Floating-point operations of the forward pass, for each row."""
        return self._each(self._few.forward_flops, self._more.forward_flops)

    @property
    def training_flops(self) -> float:
        """Those of a whole training step, forward and backward."""
        return self._each(self._few.flops, self._more.flops)

    def layers(self, rows: int) -> tuple[LayerCost, ...]:
        """Return what each layer costs in a step on so many rows; where calls differ, those of the few rows."""
        other = {layer.name: layer for layer in self._more.layers}
        return tuple(
            replace(
                layer,
                flops=self._at(layer.flops, other.get(layer.name, layer).flops, rows),
                kept_bytes=self._at(layer.kept_bytes, other.get(layer.name, layer).kept_bytes, rows),
            )
            for layer in self._few.layers
        )

    def of_one_row(self) -> tuple[int, ...]:
        """Return the floating-point operations that each row adds to each layer's forward pass."""
        other = {layer.name: layer for layer in self._more.layers}
        return tuple(round(self._each(layer.flops, other.get(layer.name, layer).flops)) for layer in self._few.layers)

    def memory(self, rows: int) -> MemoryEstimate:
        """Return what training takes with so many rows in a batch."""
        fixed = self._fixed
        activations = self._at(self._few.kept_bytes, self._more.kept_bytes, rows)
        peak = max(self._at(few, more, rows) for few, more in self._peaks)
        working = max(0, peak - fixed.gradients - activations)
        data = fixed.data * rows
        total = fixed.parameters + fixed.optimizer_state + fixed.copies + data + activations + fixed.gradients + working
        return replace(fixed, rows=rows, data=data, activations=activations, working=working, total=total)

    def largest_batch(self, available: int) -> int:
        """Return the largest power of two of rows with which training fits into so many bytes; 0 where none does."""
        rows = 1
        while rows < LARGEST and self.memory(rows).total <= available:
            rows *= 2
        return rows // 2

    def _each(self, few: int, more: int) -> float:
        return (more - few) / (self._more.rows - self._few.rows)

    def _at(self, few: int, more: int, rows: int) -> int:
        return max(0, round(few + self._each(few, more) * (rows - self._few.rows)))


def step_costs(member: Member, batch: Batch, device: torch.device) -> StepCosts:
    """Take steps on two and on four rows of a batch, and find out what a step costs; leaves nothing behind.

    Rows of sequences count as long as those of the batch are on the average.

    Args:
        member: Whose network is built for it.
        batch: Any training batch.
        device: Where it is.

    Returns:
        The costs of one network that trains alone.
    """
    network = build_network(member, device)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = build_optimizer(member, network)
    step = Step(member, network, optimizer, device)
    seed_epoch(active_dropouts(network), member, 1, device)
    step.start_epoch(1)
    even = _of_mean_length(batch)
    few, more = first_rows(even, FEW), first_rows(even, MORE)
    # The first step makes gradients and the optimizer's state, which all others find there.
    step(few)
    state = _tensors(list(optimizer.state.values()))
    whole = [*network.parameters(), *network.buffers()]
    watched = [_watch(step, network, rows, [*whole, *state], trained) for rows in (few, more)]
    fixed = MemoryEstimate(
        rows=0,
        parameters=_bytes(whole),
        gradients=_bytes(_gradients(trained)),
        optimizer_state=_bytes(state),
        copies=_bytes(list(network.state_dict().values())) * (1 if member.averager is None else 2),
        data=_bytes(_tensors(few)) // FEW,
        activations=0,
        working=0,
        total=0,
    )
    return StepCosts(watched[0], watched[1], fixed)


def _watch(
    step: Step, network: nn.Module, batch: Batch, known: Sequence[Tensor], trained: Sequence[Tensor]
) -> _Watched:
    known = [*known, *_tensors(batch)]
    with LayerCosts(network, known) as costs, LiveMemory(known, _gradients(trained)) as memory:
        step(batch)
    return _Watched(
        len(batch.target), costs.layers, costs.forward_flops, costs.flops, costs.kept_bytes, tuple(memory.moments)
    )


def first_rows(batch: Batch, count: int) -> Batch:
    """Return the first rows of a batch, again from the first where it has fewer."""
    place = torch.arange(count, device=batch.target.device) % len(batch.target)

    def some(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.index_select(0, place)

    inputs, conditions = (
        tuple(tensor.index_select(0, place) for tensor in each) for each in (batch.inputs, batch.conditions)
    )
    target = batch.target.index_select(0, place)
    lengths, mask, offset = some(batch.lengths), some(batch.mask), some(batch.offset)
    return Batch(inputs, target, some(batch.weight), conditions, lengths, mask, offset)


def _of_mean_length(batch: Batch) -> Batch:
    if batch.lengths is None:
        return batch
    return batch._replace(lengths=torch.full_like(batch.lengths, round(float(batch.lengths.double().mean()))))


def _tensors(found: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)]


def _gradients(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors if tensor.layout is torch.strided)
