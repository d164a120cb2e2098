"""What each layer of a network costs: output shape, parameters, multiply-adds, memory kept for the backward pass."""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils.hooks import RemovableHandle

from dlcli.training.flop_counter import flop_counter, recurrent_multiply_adds
from dlcli.training.live_memory import storage_of


@dataclass
class LayerCost:
    """What one layer costs in one step on some rows.

    Args:
        name: Its name in the network; `network` for the network itself.
        kind: Its class.
        output_shape: Shape of its output for one row, without the batch dimension; of its first call.
        parameters: Number of parameters of its own; those that two layers share belong to the first.
        flops: Floating-point operations of its forward pass, two a multiply-add.
        kept_bytes: What it keeps for the backward pass and no layer before it has kept.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...] = ()
    parameters: int = 0
    flops: int = 0
    kept_bytes: int = 0


@dataclass
class _Call:
    """A call of a module that has not returned."""

    cost: LayerCost
    first_flops: int
    inner_flops: int = 0


class LayerCosts:
    """While entered, watches one step: the network's forward pass layer by layer, the backward pass as a whole.

    Layers are the modules without children, and those with children that compute something themselves, such as
    attention between its affine maps.

    Args:
        network: The network.
        known: Tensors that are there anyway, such as parameters and the batch: not counted as kept.

    Attributes:
        layers: The layers, in the order in which their first calls ended.
        forward_flops: Floating-point operations of the network's forward pass.
        flops: Those of the whole step, which are mostly forward and backward.
        kept_bytes: What all layers, and the loss, keep for the backward pass.
    """

    def __init__(self, network: nn.Module, known: Iterable[Tensor]) -> None:
        self._network = network
        self._names = {module: name or "network" for name, module in network.named_modules()}
        self._seen = {storage._cdata for tensor in known if (storage := storage_of(tensor)) is not None}
        self._costs: dict[nn.Module, LayerCost] = {}
        self._ended: list[nn.Module] = []
        self._calls: list[_Call] = []
        self._counter = flop_counter()
        self._around = ExitStack()
        self._handles: list[RemovableHandle] = []
        self._uncounted = 0
        self._over = False
        self.layers: tuple[LayerCost, ...] = ()
        self.forward_flops = self.flops = self.kept_bytes = 0

    def __enter__(self) -> Self:
        """Begin to watch."""
        for module in self._names:
            self._handles += [
                module.register_forward_pre_hook(self._begin),
                module.register_forward_hook(self._end, prepend=True),
            ]
        self._around.enter_context(torch.autograd.graph.saved_tensors_hooks(self._keep, _as_it_is))
        self._around.enter_context(self._counter)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Watch no longer."""
        self._around.close()
        for handle in self._handles:
            handle.remove()
        self.flops = self._counted() + self._uncounted
        self._divide_parameters()
        costs = [self._costs[module] for module in self._ended]
        leaves = {id(self._costs[module]) for module in self._ended if not list(module.children())}
        self.layers = tuple(
            cost for cost in costs if id(cost) in leaves or cost.parameters or cost.flops or cost.kept_bytes
        )

    def _begin(self, module: nn.Module, arguments: object) -> None:
        if self._over:  # what is computed once more for the backward pass
            return
        cost = self._costs.setdefault(module, LayerCost(self._names[module], type(module).__name__))
        self._calls.append(_Call(cost, self._counted()))

    def _end(self, module: nn.Module, arguments: tuple[Any, ...], output: object) -> None:
        if self._over:
            return
        call = self._calls.pop()
        counted = self._counted() - call.first_flops
        own = counted - call.inner_flops
        if isinstance(module, nn.RNNBase) and not own:
            own = self._recurrent(module, arguments[0])
        call.cost.flops += own
        self.forward_flops += own
        if self._calls:
            self._calls[-1].inner_flops += counted
        if module not in self._ended:
            self._ended.append(module)
            call.cost.output_shape = _row_shape(output)
        self._over = module is self._network

    def _recurrent(self, module: nn.RNNBase, x: Tensor | PackedSequence) -> int:
        """Return the operations of a recurrent layer that runs as one, and note those of its backward pass."""
        data = x.data if isinstance(x, PackedSequence) else x
        steps = data.numel() // data.shape[-1]
        forward = 2 * recurrent_multiply_adds(module, steps)
        first = 2 * steps * sum(w.numel() for name, w in module.named_parameters() if name.startswith("weight_ih_l0"))
        # Weights and inputs of every product have a gradient, but the inputs of the lowest layer often need none.
        self._uncounted += 3 * forward - (0 if data.requires_grad else first)
        return forward

    def _counted(self) -> int:
        return self._counter.get_total_flops()

    def _keep(self, tensor: Tensor) -> Tensor:
        storage = storage_of(tensor)
        if storage is not None and storage._cdata not in self._seen:
            # Alive until the backward pass, so that no other takes its place meanwhile.
            self._seen.add(storage._cdata)
            self.kept_bytes += storage.nbytes()
            if self._calls:
                self._calls[-1].cost.kept_bytes += storage.nbytes()
        return tensor

    def _divide_parameters(self) -> None:
        """Give every parameter to the module that has it or, where that is never called, to the nearest around it."""
        modules = {name: module for module, name in self._names.items()}
        given: set[int] = set()
        for module, name in self._names.items():
            owner = module
            while owner not in self._costs and owner is not self._network:
                name = name.rpartition(".")[0] or "network"
                owner = modules[name]
            for parameter in module.parameters(recurse=False):
                if id(parameter) not in given and owner in self._costs:
                    given.add(id(parameter))
                    self._costs[owner].parameters += parameter.numel()


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


def _row_shape(output: object) -> tuple[int, ...]:
    """Return the shape of an output, or the first of several, without the batch dimension."""
    first = output[0] if isinstance(output, tuple) and output else output
    if isinstance(first, PackedSequence):  # steps that no row has are left out of it
        return (len(first.batch_sizes), *first.data.shape[1:])
    return tuple(first.shape[1:]) if isinstance(first, Tensor) else ()
