"""What a course on deep learning would say about a network, each piece of advice on its own."""

import math
from collections.abc import Iterable, Iterator

from torch import nn

from dlcli.contracts.member import Member
from dlcli.layers.residual import Residual
from dlcli.layers.window_watch import Slide
from dlcli.training.initial_values import activation_of

STACKED = {7: 3, 5: 2}
"""Convolutions of 3 pixels that see as far as one of so many."""
COUNTS = {2: "two", 3: "three"}
DEEP = 6
"""Affine maps from which a network without a normalization is hard to train."""
SELF_NORMALIZING = 3
"""Affine maps from which selu needs the initial values that it was made for."""
SATURATED = 3
"""Sigmoids in a row from which little of a gradient is left."""
AFFINE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
UNIT_RANGES = ("(0, 1)", "[0, 1]")
"""What activations that look like a sigmoid say of their output."""


def advice(network: nn.Module, member: Member, slides: Iterable[Slide]) -> Iterator[str]:
    """Yield all advice about a network.

    Args:
        network: The network.
        member: Whose; its batch size, inputs and architecture count.
        slides: Every window that slid over a batch.

    Yields:
        str: A note.
    """
    yield from stacked_kernels(network)
    yield from even_halvings(member, slides)
    yield from power_of_two(member.batch_size)
    yield from saturating_stack(network, member)
    yield from missing_normalization(network, member)
    yield from unsuited_initial_values(network, member)


def stacked_kernels(network: nn.Module) -> Iterator[str]:
    """Say where one large convolution stands and small ones one after the other see as far with fewer parameters.

    One of F = 7 pixels along each of d axes, from C to K channels, has F^d · C · K weights; three of 3 pixels have
    3^d · (C · K + 2 · K²).

    Args:
        network: The network.

    Yields:
        str: A note.

    Source: Simonyan and Zisserman 2015, "Very deep convolutional networks for large-scale image recognition".
    """
    for name, module in network.named_modules():
        if not isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            continue
        kernel, axes = module.kernel_size[0], len(module.kernel_size)
        alike = set(module.kernel_size) == {kernel} and {*module.stride, *module.dilation} == {1}
        if kernel not in STACKED or not alike:
            continue
        count, wide = STACKED[kernel], module.out_channels
        inner = module.in_channels // module.groups, wide // module.groups
        small = 3**axes * wide * (inner[0] + (count - 1) * inner[1])
        biases = 0 if module.bias is None else wide
        large = module.weight.numel() + biases
        if small + count * biases < large:
            size, three = "×".join([str(kernel)] * axes), "×".join(["3"] * axes)
            yield (
                f"{name or 'the network'} is one {size} convolution with {large:,} parameters: {COUNTS[count]} {three} "
                f"with activations between them see as far with {small + count * biases:,}, and can say more"
            )


def even_halvings(member: Member, slides: Iterable[Slide]) -> Iterator[str]:
    """Say which axis of an image is halved more often than it is divisible by 2.

    Args:
        member: Whose; its inputs count.
        slides: Every window that slid over a batch.

    Yields:
        str: A note.
    """
    images = [field for field in member.io.inputs if field.kind == "image"]
    if len(images) != 1:
        return
    sizes = dict(zip(("height", "width"), images[0].shape[1:], strict=True))
    halved: dict[str, dict[int, int]] = {axis: {} for axis in sizes}
    for slide in slides:
        stride = slide.window.stride
        if stride > 1 and stride & (stride - 1) == 0:
            for axis in set(slide.what.split(" and ")) & set(sizes):
                # Branches side by side, such as a shortcut, halve the same size once.
                halved[axis][slide.size] = max(halved[axis].get(slide.size, 1), stride)
    told = []
    for axis, pixels in sizes.items():
        whole = math.prod(halved[axis].values())
        if pixels % whole:
            near = sorted({pixels // whole * whole, -(-pixels // whole) * whole} - {0})
            told.append(f"{axis} {pixels} ({' or '.join(map(str, near))} would)")
    if told:
        yield (
            f"{images[0].name} is halved more often than it is divisible by 2, {' and '.join(told)}: pixels at its "
            "border are dropped or padded on the way; resize or crop the images, or halve less often"
        )


def power_of_two(batch_size: int) -> Iterator[str]:
    """Say so where a batch size is not a power of two.

    Args:
        batch_size: Rows in a batch, ≥ 1.

    Yields:
        str: A note.
    """
    if batch_size & (batch_size - 1):
        below = 1 << (batch_size.bit_length() - 1)
        yield (
            f"batch_size {batch_size} is not a power of two, which memory and kernels are laid out for: {below} or "
            f"{2 * below} often take less time a row"
        )


def saturating_stack(network: nn.Module, member: Member) -> Iterator[str]:
    """Say so where several sigmoids stand one after the other, with no skip past any.

    Args:
        network: The network.
        member: Whose; its architecture's activation counts.

    Yields:
        str: A note.

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks".
    """
    own = activation_of(member.architecture)
    named = own is not None and own.output_range in UNIT_RANGES
    skipped = tuple(f"{name}." for name, module in network.named_modules() if isinstance(module, Residual))
    count = sum(
        isinstance(module, nn.Sigmoid | nn.Hardsigmoid) or (named and name.rpartition(".")[2] == "activation")
        for name, module in network.named_modules()
        if not name.startswith(skipped)
    )
    if count >= SATURATED:
        what = own.name if own is not None and named else "sigmoid"
        yield (
            f"{count} layers of {what} one after the other: where one saturates no gradient is left for those below; "
            "take relu or gelu, or tanh, whose mean output is 0, or set residual = true where there is such a key"
        )


def missing_normalization(network: nn.Module, member: Member) -> Iterator[str]:
    """Say so where a deep network normalizes nowhere; selu does so itself.

    Args:
        network: The network.
        member: Whose; its architecture says what could be set.

    Yields:
        str: A note.

    Source: Ioffe and Szegedy 2015, "Batch normalization".
    """
    depth = _affine_layers(network)
    if depth >= DEEP and not (_normalizes(network) or any(isinstance(module, nn.SELU) for module in network.modules())):
        can = 'set model.norm = "batch" or "layer"' if "norm" in type(member.architecture).model_fields else "add one"
        yield (
            f"{depth} affine layers without a normalization: signals and gradients grow or shrink from layer to layer; "
            f'{can}, or take selu with model.init = "auto"'
        )


def unsuited_initial_values(network: nn.Module, member: Member) -> Iterator[str]:
    """Say so where nothing but the initial values could keep signals at their size, and they are torch's own.

    Torch draws weights from U(−1, 1) / √inputs, whose variance is 1 / (3 · inputs), whatever the activation.

    Args:
        network: The network.
        member: Whose; its activation, initializer and the weights it starts from count.

    Yields:
        str: A note.

    Source: He et al. 2015, "Delving deep into rectifiers"; Klambauer et al. 2017, "Self-normalizing neural networks",
        for selu.
    """
    activation = activation_of(member.architecture)
    given = member.initializer is not None or member.initial_state is not None
    if activation is None or given or _normalizes(network):
        return
    depth = _affine_layers(network)
    if depth >= (SELF_NORMALIZING if activation.name == "selu" else DEEP):
        yield (
            f"{depth} affine layers begin with torch's own weights, each of which cuts the variance of signals to a "
            f'third before {activation.name} acts: model.init = "auto" takes {activation.initialization}, which suits'
        )


def _affine_layers(network: nn.Module) -> int:
    return sum(isinstance(module, AFFINE) for module in network.modules())


def _normalizes(network: nn.Module) -> bool:
    return any("norm" in type(module).__name__.lower() for module in network.modules())
