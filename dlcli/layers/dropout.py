"""Randomness that is given to the modules that need it, so that a member's does not depend on its companions."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

LEVELS = 65536
DropoutKind = Literal["inverted", "alpha", "spatial", "rows"]
_LOWEST = -1.7580993408473766
"""What SELU tends to on the left, −λα: what alpha dropout puts in the place of what it drops."""

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


class BitStream:
    """Bits from a generator, of a member's own: a `BitSource`.

    Args:
        generator: What they are drawn from.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def __call__(self, shape: torch.Size, device: torch.device) -> Tensor:
        """Draw bits of a shape on the generator's device."""
        return random_bits(shape, device, self.generator)


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

    def bits(self, shape: torch.Size, device: torch.device) -> Tensor:
        """Return int16 numbers of a shape, each of the 65536 with the same probability."""
        return (self.source or random_bits)(shape, device)


class Dropout(Randomized):
    """Inverted dropout: y = x · m / (1 − p) in training, m ~ Bernoulli(1 − p) an element; y = x in evaluation.

    Other kinds differ in what shares an m, or in what is put in the place of what is dropped: `spatial`, one m a row
    and feature, so that whole feature maps are dropped; `rows`, one m a row, which on the branch of a residual block is
    stochastic depth; `alpha`, dropped elements become SELU's lowest value, and an affine map keeps mean and variance.

    The rate is a buffer, quantized to 1/65536, so that members of a stack may differ in it; it is not part of the
    state, because it belongs to the recipe.

    Args:
        rate: Probability p in [0, 1) that an element is dropped.
        kind: `inverted`, `alpha`, `spatial` or `rows`.
        feature_dim: Dimension that holds features, for `spatial`.

    Raises:
        ValueError: The rate is outside [0, 1).

    Shape:
        Any shape; the same shape, dtype and device come out.

    Source: Srivastava et al. 2014, "Dropout"; Klambauer et al. 2017, "Self-normalizing neural networks", for alpha;
    Tompson et al. 2015, "Efficient object localization", for spatial; Huang et al. 2016, "Deep networks with stochastic
    depth".
    """

    rate: Tensor
    offset: Tensor
    scale: Tensor

    def __init__(self, rate: float | Tensor = 0.5, kind: DropoutKind = "inverted", feature_dim: int = 1) -> None:
        super().__init__()
        self.kind = kind
        self.feature_dim = feature_dim
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
        bits = self.bits(self._mask_shape(x), x.device)
        # 1 from the threshold on, 0 below: exact for whole numbers, and three times as quick as a comparison on a CPU.
        kept = (bits.float() + self.offset).clamp(0, 1)
        if self.kind == "alpha":
            # Mean 0 and variance 1 stay: a² (q + _LOWEST² q p) = 1 with q = 1 − p, and b takes the mean back.
            a = ((1 - self.rate) * (1 + self.rate * _LOWEST**2)).rsqrt()
            dropped = a * (_LOWEST * (1 - kept) - _LOWEST * self.rate)
            return x * (a * kept).to(x.dtype) + dropped.to(x.dtype)
        return x * (kept * self.scale).to(x.dtype)

    def _mask_shape(self, x: Tensor) -> torch.Size:
        if self.kind in ("inverted", "alpha"):
            return x.shape
        own = {0} if self.kind == "rows" else {0, self.feature_dim % x.ndim}
        return torch.Size(size if dim in own else 1 for dim, size in enumerate(x.shape))

    def extra_repr(self) -> str:
        """Show the rate, and the kind where it is another than the usual one."""
        return f"rate={self.rate.tolist()}" + ("" if self.kind == "inverted" else f", kind={self.kind}")


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
