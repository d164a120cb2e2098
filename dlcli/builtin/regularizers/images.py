"""What the augmentations of images share: all images of a row are changed alike."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from dlcli import UsageError

Fill = Literal["edge", "zero"]
"""What comes in from outside: the nearest pixel, or 0, which is the mean where images were standardized."""


def rows_of_images(name: str, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return how many rows a batch has.

    Args:
        name: Name of the regularizer that asks, for the error.
        shapes: Shapes of the batch's inputs by name.

    Returns:
        The number of rows.

    Raises:
        UsageError: No input is an image.
    """
    for shape in shapes.values():
        if len(shape) == 4:
            return shape[0]
    raise UsageError(
        f"{name} changes images, but no input is one ({', '.join(shapes)}); remove it from [[regularizers]], or give "
        'the field the kind image: [data.fields] x = { path = "x", kind = "image" }'
    )


def uniform(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Draw numbers in [-1, 1), (rows, columns)."""
    return torch.rand(rows, columns, generator=generator, device=generator.device) * 2 - 1


def inside(size: int, first: Tensor, end: Tensor) -> Tensor:
    """Return which of so many pixels lie from `first` to before `end`, (…, size)."""
    pixels = torch.arange(size, device=first.device)
    return (pixels >= first.unsqueeze(-1)) & (pixels < end.unsqueeze(-1))


def each_image(inputs: Sequence[Tensor], change: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
    """Return inputs with every image (B, C, H, W) changed, the others as they are."""
    return tuple(change(values) if values.ndim == 4 else values for values in inputs)


def sampled(images: Tensor, maps: Tensor, fill: Fill) -> Tensor:
    """Return images whose pixels are taken, between four by weight, from where an affine map says.

    Args:
        images: (B, C, H, W).
        maps: From places in the new image to places in the old one, both from -1 to 1, x before y, (B, 2, 3).
        fill: What is outside.

    Returns:
        (B, C, H, W).
    """
    # As `affine_grid`, which has no rule for vmap.
    down, across = (_places(size, images) for size in images.shape[2:])
    columns, rows, shift = (maps[:, None, None, :, place] for place in range(3))
    grid = columns * across.view(1, -1, 1) + rows * down.view(-1, 1, 1) + shift
    padding = "border" if fill == "edge" else "zeros"
    return functional.grid_sample(images, grid, padding_mode=padding, align_corners=False)


def _places(size: int, like: Tensor) -> Tensor:
    """Return the middles of so many pixels between -1 and 1."""
    return (2 * torch.arange(size, device=like.device, dtype=like.dtype) + 1) / size - 1
