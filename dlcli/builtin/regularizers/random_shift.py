"""The regularizer `random_shift`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import MixedBatch, PerMember, Regularizer
from dlcli.builtin.regularizers.images import Fill, each_image, rows_of_images, uniform


class RandomShift(Regularizer):
    """Moves training images by whole pixels at random, up and down and sideways, each row for itself.

    Where what is seen need not be in the middle. Moved far, it leaves the image.

    Args:
        select: Unused: it touches no parameters.
        share: How far at most, as a share of the height and of the width, in [0, 1].
        fill: What comes in: the nearest pixel (`edge`), or 0 (`zero`), which is the mean of standardized images.

    Raises:
        UsageError: No input is an image.

    Source: Simard et al. 2003, "Best practices for convolutional neural networks applied to visual document
        analysis".
    """

    name: ClassVar[str] = "random_shift"

    share: PerMember = Field(0.1, ge=0, le=1, description="how far at most, as a share of height and width")
    fill: Fill = Field("edge", description="what comes in: the nearest pixel, or 0")

    def draw(self, shapes: Mapping[str, tuple[int, ...]], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw two numbers in [-1, 1) for each row, down and to the right."""
        return {"way": uniform(rows_of_images(self.name, shapes), 2, generator)}

    def batch(self, inputs: tuple[Tensor, ...], targets: Tensor, noise: Mapping[str, Tensor]) -> MixedBatch:
        """Move the images."""

        def moved(images: Tensor) -> Tensor:
            for place, dimension in enumerate((2, 3)):
                images = self._along(images, noise["way"][:, place], dimension)
            return images

        return MixedBatch(each_image(inputs, moved), (targets,))

    def _along(self, images: Tensor, way: Tensor, dimension: int) -> Tensor:
        size = images.shape[dimension]
        pixels = (way * self.share * size).round().to(torch.int64)
        source = torch.arange(size, device=images.device) - pixels.unsqueeze(1)
        shape = (len(images), 1, size, 1) if dimension == 2 else (len(images), 1, 1, size)
        found = images.gather(dimension, source.clamp(0, size - 1).view(shape).expand_as(images))
        if self.fill == "edge":
            return found
        inside = (source >= 0) & (source < size)
        return torch.where(inside.view(shape), found, torch.zeros((), dtype=images.dtype, device=images.device))
