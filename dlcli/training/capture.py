"""Captures a function of tensors as a flat list of operations, so that a small network's step costs little else.

The function runs once, on real tensors; every operation that it, vmap and autograd carried out is kept, made cheaper
(`simplify`), and replayed from then on. Shapes are those of the capture. Nothing is compiled, so it takes a tenth of a
second, and the operations are torch's own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from dlcli.training.simplify import simplify

CAPTURES = 64
"""Captures kept: the populations of a search have few shapes between them."""


@dataclass(frozen=True)
class Captured:
    """A captured function.

    Args:
        run: From tensors shaped like those of the capture to the function's results; called without gradients.
        names: What the results are, as the function noted while it was captured.
    """

    run: Callable[..., list[Tensor]]
    names: dict[str, list[str]]


Function = Callable[[Sequence[Tensor], dict[str, list[str]]], Sequence[Tensor]]
"""Pure, of tensors alone; may note names of its results. What it reads besides becomes a constant."""

_kept: dict[str, Captured] = {}


def capture(
    key: str, function: Function, tensors: Sequence[Tensor], passes: Sequence[Callable[[fx.GraphModule], None]] = ()
) -> Captured:
    """Capture a function, or take the capture that was made before.

    Args:
        key: Says all that decides the function's operations, but for the tensors' shapes, types and device.
        function: The function.
        tensors: What it will get, or others like them.
        passes: What rewrites its graph besides `simplify`, and after it; a function of the key.

    Returns:
        The captured function.
    """
    whole = f"{key} {';'.join(f'{tuple(t.shape)}{t.stride()}{t.dtype}{t.device}' for t in tensors)}"
    found = _kept.pop(whole, None) or capture_anew(function, tensors, passes)
    _kept[whole] = found
    if len(_kept) > CAPTURES:
        del _kept[next(iter(_kept))]  # the least used
    return found


def capture_anew(
    function: Function, tensors: Sequence[Tensor], passes: Sequence[Callable[[fx.GraphModule], None]] = ()
) -> Captured:
    """Capture a function, and keep nothing.

    Args:
        function: The function.
        tensors: What it will get, or others like them.
        passes: What rewrites its graph besides `simplify`, and after it.

    Returns:
        The captured function.
    """
    from torch._guards import TracingContext, tracing
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.graph import CodeGen

    names: dict[str, list[str]] = {}

    def flat(*arguments: Tensor) -> list[Tensor]:
        names.clear()
        return list(function(arguments, names))

    # A fake tensor describes each operation; left to itself, torch makes a mode for each, half of what this takes.
    described = tracing(TracingContext(FakeTensorMode(allow_fallback_kernels=True)))
    with torch.enable_grad(), described:
        module = make_fx(flat)(*tensors)
    module.graph.set_codegen(CodeGen())
    simplify(module)
    for rewrite in passes:
        rewrite(module)
    return Captured(module.forward, names)
