"""The blocks of a network, and running it so that they keep their inputs alone: activation checkpointing."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dlcli.layers.dropout import BitStream, Randomized


class Block(NamedTuple):
    """Part of a network whose inputs are kept and whose inside is computed again.

    Args:
        owner: The module whose call is replaced while the network runs.
        parts: Consecutive modules of a plain `nn.Sequential`, where the block is a part of it; empty where the block is
            the whole owner.
    """

    owner: nn.Module
    parts: tuple[nn.Module, ...] = ()

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """All modules inside."""
        roots = self.parts or (self.owner,)
        return tuple(dict.fromkeys(module for root in roots for module in root.modules()))


def find_blocks(network: nn.Module) -> tuple[Block, ...]:
    """Return the blocks of anybody's network, none inside another.

    A block is a module of several layers that stands in an `nn.ModuleList` or an `nn.Sequential`, however deeply these
    are nested in each other, or a kind of `nn.Sequential` with a forward pass of its own. A plain `nn.Sequential` of
    layers alone is divided into about √n parts of √n layers each, after Chen et al. 2016.

    Args:
        network: The network.

    Returns:
        Its blocks, in the order of its modules.

    Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".
    """
    return tuple(dict.fromkeys(_blocks(network, inside=False)))


def _blocks(module: nn.Module, *, inside: bool) -> Iterator[Block]:
    children = list(module.children())
    if not children:
        return
    plain = isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward
    layers_alone = all(not list(child.children()) for child in children)
    if plain and layers_alone:
        if inside:
            yield Block(module)
        else:
            size = max(2, math.isqrt(len(children)))
            for first in range(0, len(children), size):
                yield Block(module, tuple(children[first : first + size]))
    elif plain or isinstance(module, nn.ModuleList):
        for child in children:
            yield from _blocks(child, inside=True)
    elif inside or isinstance(module, nn.Sequential):
        yield Block(module)
    else:
        for child in children:
            yield from _blocks(child, inside=False)


@contextmanager
def keeping_inputs(blocks: tuple[Block, ...]) -> Iterator[None]:
    """Let blocks keep their inputs alone in the forward passes of the block that runs.

    What they compute again when gradients are wanted is the same to the bit: the same dropout masks, and parameters and
    buffers as they were; running statistics are updated once.

    Args:
        blocks: What `find_blocks` returned.

    Yields:
        None: The block runs; gradients may be taken afterwards.
    """
    owners = dict.fromkeys(block.owner for block in blocks)
    for owner in owners:
        own = [block for block in blocks if block.owner is owner]
        owner.forward = _in_parts(own) if own[0].parts else _whole(own[0])
    try:
        yield
    finally:
        for owner in owners:
            del owner.forward  # the class's own is there again


def _whole(block: Block) -> Callable[..., Any]:
    return _kept(block.owner.forward, block.modules)


def _in_parts(blocks: list[Block]) -> Callable[[Tensor], Any]:
    steps = [_kept(_through(block.parts), block.modules) for block in blocks]

    def run(x: Any) -> Any:
        for step in steps:
            x = step(x)
        return x

    return run


def _through(parts: tuple[nn.Module, ...]) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        for part in parts:
            x = part(x)
        return x

    return run


def _kept(function: Callable[..., Any], modules: tuple[nn.Module, ...]) -> Callable[..., Any]:
    from torch.utils.checkpoint import checkpoint

    def run(*arguments: Any, **extra: Any) -> Any:
        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), _as_before(modules)

        return checkpoint(function, *arguments, use_reentrant=False, context_fn=contexts, **extra)

    return run


def _as_before(modules: tuple[nn.Module, ...]) -> AbstractContextManager[None]:
    """Return a context in which modules have the tensors and the random bits that they have now."""
    parameters = [dict(module._parameters) for module in modules]
    # Copies: a forward pass changes buffers in place, and so does the second one, whose changes are to be lost.
    buffers = [{name: b if b is None else b.clone() for name, b in module._buffers.items()} for module in modules]
    sources = (module.source for module in modules if isinstance(module, Randomized))
    streams = list(dict.fromkeys(source.generator for source in sources if isinstance(source, BitStream)))
    states = [stream.get_state() for stream in streams]

    @contextmanager
    def again() -> Iterator[None]:
        later = [(dict(module._parameters), dict(module._buffers)) for module in modules]
        now = [stream.get_state() for stream in streams]
        _put(modules, zip(parameters, buffers, strict=True))
        _rewind(streams, states)
        try:
            yield
        finally:
            _put(modules, iter(later))
            _rewind(streams, now)

    return again()


def _put(modules: tuple[nn.Module, ...], tables: Iterator[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    for module, (parameters, buffers) in zip(modules, tables, strict=True):
        module._parameters.update(parameters)
        module._buffers.update(buffers)


def _rewind(streams: list[torch.Generator], states: list[Tensor]) -> None:
    for stream, state in zip(streams, states, strict=True):
        stream.set_state(state)
