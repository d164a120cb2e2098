"""The regularizer `cutout`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import MixedBatch, PerMember, Regularizer
from dlcli.builtin.regularizers.images import each_image, inside, rows_of_images


class Cutout(Regularizer):
    """Blanks a square of every training image, each row for itself, so that no part of it decides alone.

    The middle is uniform over the pixels, so that squares near the border are cut there. Blank is 0, which is the mean
    of standardized images: without `standardize` it is black.

    Args:
        select: Unused: it touches no parameters.
        share: Side of the square as a share of the image's shorter side, in [0, 1]; 0 for none. Its authors take a half
            for CIFAR-10, a quarter for CIFAR-100.

    Raises:
        UsageError: No input is an image.

    Source: DeVries and Taylor 2017, "Improved regularization of convolutional neural networks with cutout".
    """

    name: ClassVar[str] = "cutout"

    share: PerMember = Field(0.5, ge=0, le=1, description="side of the square, as a share of the shorter side")

    def draw(self, shapes: Mapping[str, tuple[int, ...]], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw the middle of each row's square in [0, 1), down and across."""
        rows = rows_of_images(self.name, shapes)
        return {"middle": torch.rand(rows, 2, generator=generator, device=generator.device)}

    def batch(self, inputs: tuple[Tensor, ...], targets: Tensor, noise: Mapping[str, Tensor]) -> MixedBatch:
        """Blank the squares."""

        def blanked(images: Tensor) -> Tensor:
            down, across = (self._along(images, noise["middle"][:, place], 2 + place) for place in (0, 1))
            square = (down.unsqueeze(2) & across.unsqueeze(1)).unsqueeze(1)
            return torch.where(square, torch.zeros((), dtype=images.dtype, device=images.device), images)

        return MixedBatch(each_image(inputs, blanked), (targets,))

    def _along(self, images: Tensor, middle: Tensor, dimension: int) -> Tensor:
        """Return where the squares lie along a side (B, size)."""
        size = images.shape[dimension]
        side = (torch.ones_like(middle) * self.share * min(images.shape[2:])).round()
        first = (middle * size).floor() - side.div(2, rounding_mode="floor")
        return inside(size, first, first + side)
