"""Follows tensors through a network: which module or function made what from what."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dlcli.contracts.batch import Batch
from dlcli.contracts.member import Member
from dlcli.experiment.diagram.graph import Block, NetworkGraph
from dlcli.experiment.diagram.labels import (
    MERGES,
    WEIGHTED,
    Label,
    function_name,
    is_whole,
    label_of,
    label_of_function,
)
from dlcli.layers.dropout import Dropout
from dlcli.layers.scaled_target import ScaledTarget
from dlcli.training.evaluation import forward

ROWS = 2
"""Rows that are sent through: the fewest from which every shape can be told."""


def trace(member: Member, network: nn.Module, batch: Batch, title: str) -> NetworkGraph:
    """Return a network as a graph: what a batch passes through, found by sending two rows.

    Every layer becomes a block, and so does what joins tensors or what a reader would look for, such as a mean over
    pixels; other functions, such as a change of dimensions, pass on what they are given. Lengths and masks are left
    out. Where something hides from which tensor it made another, the block before it is taken for its source.

    Args:
        member: Names the inputs and conditions.
        network: The network; it is left in the mode in which it came, and nothing in it changes.
        batch: Some rows.
        title: Title of the graph.

    Returns:
        The graph.
    """
    small = Batch(
        tuple(values[:ROWS] for values in batch.inputs),
        batch.target[:ROWS],
        conditions=tuple(values[:ROWS] for values in batch.conditions),
    )
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    for module in network.modules():
        if isinstance(module, ScaledTarget):
            module.training = True  # the target's unit is no layer
    tracer = _Tracer(network)
    try:
        for fields, tensors, kind in (
            (member.io.inputs, small.inputs, "input"),
            (member.io.conditions, small.conditions, "condition"),
        ):
            for field, tensor in zip(fields, tensors, strict=True):
                tracer.add(field.name, Label(field.kind, kind), tensor, 0, ())  # type: ignore[arg-type]
        with ExitStack() as stack:
            for handle in tracer.hooks():
                stack.callback(handle.remove)
            stack.enter_context(tracer)
            output = forward(network, small.inputs, small)
    finally:
        for module, mode in modes:
            module.training = mode
    tracer.add("", Label("output", "output"), output, 0, tracer.sources((output,)) or tracer.latest())
    counted = sum(parameter.numel() for parameter in network.parameters())
    return NetworkGraph(title, _used(tracer.blocks), counted)


class _Tracer(TorchFunctionMode):
    """Notes each block as it is passed."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.blocks: list[Block] = []
        self._network = network
        # Tensors are kept, so that the identities in the keys stay theirs.
        self._made: dict[int, tuple[Tensor, int]] = {}
        self._depth = 0
        self._wholes = {name: module for name, module in network.named_modules() if is_whole(name, module)}
        inside = {id(tensor) for module in self._wholes.values() for tensor in _tensors_of(module)}
        own = [*network.named_parameters(), *network.named_buffers()]
        self._loose = {id(tensor): (name, tensor) for name, tensor in own if id(tensor) not in inside}

    def add(self, name: str, label: Label, output: object, parameters: int, sources: Sequence[int]) -> None:
        """Note a block that made an output."""
        tensors = list(_tensors(output))
        shape = tuple(tensors[0].shape[1:]) if tensors else ()
        self.blocks.append(Block(name, label.text, label.kind, shape, parameters, tuple(sources)))
        for tensor in tensors:
            self._made[id(tensor)] = tensor, len(self.blocks) - 1

    def latest(self) -> tuple[int, ...]:
        """Return the place of the last block, if there is any."""
        return (len(self.blocks) - 1,) if self.blocks else ()

    def sources(self, given: object) -> tuple[int, ...]:
        """Return the places of the blocks that made what is given, each once, in order."""
        found: dict[int, None] = {}
        for tensor in _tensors(given):
            if id(tensor) in self._made:
                found[self._made[id(tensor)][1]] = None
            elif id(tensor) in self._loose:
                found[self._add_loose(tensor)] = None
        return tuple(found)

    def hooks(self) -> Iterator[torch.utils.hooks.RemovableHandle]:
        """Yield the handles of hooks that note every layer."""
        for name, module in self._wholes.items():
            yield module.register_forward_pre_hook(self._enter)
            yield module.register_forward_hook(self._leave(name), with_kwargs=True)

    def _enter(self, module: nn.Module, arguments: object) -> None:
        self._depth += 1

    def _leave(self, name: str) -> Any:
        def note(module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], output: object) -> None:
            self._depth -= 1
            if self._depth or _passes_on(module):
                return
            sources = self.sources((arguments, keywords)) or self.latest()
            counted = sum(parameter.numel() for parameter in module.parameters())
            self.add(name, label_of(name, module), output, counted, sources)

        return note

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of torch, and note what it made from what."""
        made = func(*args, **(kwargs or {}))
        if not self._depth:
            self._note(function_name(func), args, kwargs or {}, made)
        return made

    def _note(self, name: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any], made: object) -> None:
        outputs = list(_tensors(made))
        if not outputs:
            return
        sources = self.sources((arguments, list(keywords.values())))
        if not sources:
            return
        kind, counted = WEIGHTED.get(name), 0
        if kind is not None:
            weights = [place for place in sources if self.blocks[place].kind == "parameter"]
            counted = sum(self.blocks[place].parameters for place in weights)
            sources = tuple(place for place in sources if place not in weights)
            self.add("", Label(name, kind), made, counted, sources)  # type: ignore[arg-type]
            return
        before = next((tensor for tensor in _tensors(arguments) if id(tensor) in self._made), None)
        label = label_of_function(name, before, outputs[0], arguments)
        if label is None and len(sources) > 1:
            label = Label(MERGES.get(name, name), "merge")
        if label is not None:
            self.add("", label, made, 0, sources)
            return
        for tensor in outputs:
            self._made[id(tensor)] = tensor, sources[0]

    def _add_loose(self, tensor: Tensor) -> int:
        """Note a parameter, or a buffer, that no layer holds."""
        name, _ = self._loose[id(tensor)]
        learnt = tensor.numel() if isinstance(tensor, nn.Parameter) else 0
        label = Label("learned" if learnt else "fixed", "parameter")
        self.blocks.append(Block(name, label.text, label.kind, tuple(tensor.shape), learnt, ()))
        self._made[id(tensor)] = tensor, len(self.blocks) - 1
        return len(self.blocks) - 1


def _passes_on(module: nn.Module) -> bool:
    """Return whether a layer is none: it does nothing in training either, as an empty sequence or a dropout at 0."""
    if isinstance(module, Dropout):
        return not module.active
    empty = isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict) and not list(module.children())
    return empty or isinstance(module, nn.Identity)


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)


def _tensors_of(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _used(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Return the blocks that the output depends on, with every input; conditions and inputs first."""
    wanted = {len(blocks) - 1}
    for place in range(len(blocks) - 1, -1, -1):
        if place in wanted:
            wanted.update(blocks[place].sources)
    wanted |= {place for place, block in enumerate(blocks) if block.kind in ("input", "condition")}
    kept = sorted(wanted)
    places = {place: number for number, place in enumerate(kept)}
    return tuple(
        Block(b.name, b.label, b.kind, b.shape, b.parameters, tuple(places[source] for source in b.sources))
        for b in (blocks[place] for place in kept)
    )
