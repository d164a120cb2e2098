"""Randomness that is given to the modules that need it, so that a member's does not depend on its companions."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

LEVELS = 65536

BitSource = Callable[[torch.Size, torch.device], Tensor]
"""Gives uniform int16 bits of a shape on a device."""


def random_bits(shape: torch.Size, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
    """Draw uniform random int16 numbers, four from each 64-bit draw: the cheapest masks on a CPU.

    Args:
        shape: Shape of the result.
        device: Where it lives; the generator's device.
        generator: Stream to draw from; torch's global one where None.

    Returns:
        int16, uniform over all 65536 values.
    """
    count = shape.numel()
    words = torch.empty((count + 3) // 4, dtype=torch.int64, device=device)
    # from=-2**63, to=None is the full range: the plain call leaves the sign bit 0 and biases every fourth number.
    words.random_(-(2**63), None, generator=generator)
    return words.view(torch.int16)[:count].view(shape)


class Randomized(nn.Module):
    """A module whose randomness in training is uniform bits that it asks for, so that it trains in a stack, too.

    The training engine sets `source`, the member's own stream of bits; without it bits come from torch's global
    generator. A module asks for the same shapes in the same order whatever the values of its input.

    Args:
        active: Whether it asks for any bits in training.
    """

    def __init__(self, *, active: bool = True) -> None:
        super().__init__()
        self.active = active
        self.source: BitSource | None = None

    def bits(self, x: Tensor) -> Tensor:
        """Return int16 numbers shaped like `x`, each of the 65536 with the same probability."""
        return (self.source or random_bits)(x.shape, x.device)


class Dropout(Randomized):
    """Inverted dropout: y = x · m / (1 − p) in training, m ~ Bernoulli(1 − p) an element; y = x in evaluation.

    The rate is a buffer, quantized to 1/65536, so that members of a stack may differ in it; it is not part of the
    state, because it belongs to the recipe.

    Args:
        rate: Probability p in [0, 1) that an element is dropped.

    Raises:
        ValueError: The rate is outside [0, 1).

    Shape:
        Any shape; the same shape, dtype and device come out.

    Source: Srivastava et al. 2014, "Dropout".
    """

    rate: Tensor
    offset: Tensor
    scale: Tensor

    def __init__(self, rate: float | Tensor = 0.5) -> None:
        super().__init__()
        if not isinstance(rate, Tensor) and not 0 <= rate < 1:
            raise ValueError(f"the rate of Dropout must be in [0, 1), got {rate}")
        levels = (torch.as_tensor(rate, dtype=torch.float64) * LEVELS).round().clamp(0, LEVELS - 1)
        self.register_buffer("rate", (levels / LEVELS).float(), persistent=False)
        self.register_buffer("offset", (1 + LEVELS // 2 - levels).float(), persistent=False)
        self.register_buffer("scale", (LEVELS / (LEVELS - levels)).float(), persistent=False)
        self.active = bool((levels > 0).any())

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements in training; pass everything in evaluation."""
        if not (self.training and self.active):
            return x
        # 1 from the threshold on, 0 below: exact for whole numbers, and three times as quick as a comparison on a CPU.
        kept = (self.bits(x).float() + self.offset).clamp(0, 1)
        return x * (kept * self.scale).to(x.dtype)

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"rate={self.rate.tolist()}"


def replace_dropout(module: nn.Module) -> nn.Module:
    """Put our Dropout in the place of every `nn.Dropout` inside a module, the module itself included.

    Args:
        module: Anybody's network; changed in place.

    Returns:
        The module, or our Dropout where it was an `nn.Dropout` itself.
    """
    if type(module) is nn.Dropout:
        return Dropout(module.p).train(module.training)
    # Duplicates are kept, since a network may use one dropout under several names.
    for path, child in list(module.named_modules(remove_duplicate=False)):
        if type(child) is nn.Dropout:
            parent, _, name = path.rpartition(".")
            setattr(module.get_submodule(parent), name, Dropout(child.p).train(child.training))
    return module


def set_dropout_source(module: nn.Module, source: BitSource | None) -> None:
    """Give everything inside a module that is random its stream of bits."""
    for child in module.modules():
        if isinstance(child, Randomized):
            child.source = source
