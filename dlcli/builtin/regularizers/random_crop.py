"""The regularizer `random_crop`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import MixedBatch, PerMember, Regularizer
from dlcli.builtin.regularizers.images import each_image, rows_of_images, sampled, uniform


class RandomCrop(Regularizer):
    """Cuts a part out of training images at random and enlarges it to the whole, each row for itself.

    The part has the image's proportions; its share of the area is uniform from `least` to 1, its place uniform. Pixels
    are interpolated linearly between four.

    Args:
        select: Unused: it touches no parameters.
        least: Smallest share of the area that is left, in (0, 1].

    Raises:
        UsageError: No input is an image.

    Source: Szegedy et al. 2015, "Going deeper with convolutions", with one of the proportions.
    """

    name: ClassVar[str] = "random_crop"

    least: PerMember = Field(0.7, gt=0, le=1, description="smallest share of the area that is left")

    def draw(self, shapes: Mapping[str, tuple[int, ...]], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw three numbers in [-1, 1) for each row: the area, and the place across and down."""
        return {"part": uniform(rows_of_images(self.name, shapes), 3, generator)}

    def batch(self, inputs: tuple[Tensor, ...], targets: Tensor, noise: Mapping[str, Tensor]) -> MixedBatch:
        """Cut the images."""
        area, across, down = noise["part"].unbind(1)
        side = (self.least + (1 - self.least) * (area + 1) / 2).sqrt()
        none = torch.zeros_like(side)
        first = torch.stack([side, none, across * (1 - side)], dim=1)
        maps = torch.stack([first, torch.stack([none, side, down * (1 - side)], dim=1)], dim=1)
        return MixedBatch(each_image(inputs, lambda images: sampled(images, maps, "edge")), (targets,))
