"""The regularizer `random_flip`."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from dlcli import MixedBatch, PerMember, Regularizer
from dlcli.builtin.regularizers.images import each_image, rows_of_images, uniform


class RandomFlip(Regularizer):
    """Mirrors training images at random, each row for itself.

    For photographs. Wrong where sides mean something: digits and letters are other ones in a mirror.

    Args:
        select: Unused: it touches no parameters.
        direction: `horizontal` changes left and right, `vertical` top and bottom.
        probability: How often, in [0, 1].

    Raises:
        UsageError: No input is an image.

    Source: Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks".
    """

    name: ClassVar[str] = "random_flip"

    direction: Literal["horizontal", "vertical"] = Field("horizontal", description="what changes places")
    probability: PerMember = Field(0.5, ge=0, le=1, description="how often an image is mirrored")

    def draw(self, shapes: Mapping[str, tuple[int, ...]], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw a number in [-1, 1) for each row."""
        return {"chance": uniform(rows_of_images(self.name, shapes), 1, generator)}

    def batch(self, inputs: tuple[Tensor, ...], targets: Tensor, noise: Mapping[str, Tensor]) -> MixedBatch:
        """Mirror the images of the rows whose chance it is."""
        flipped = (noise["chance"].view(-1, 1, 1, 1) + 1) / 2 < self.probability
        dimension = 3 if self.direction == "horizontal" else 2
        made = each_image(inputs, lambda images: torch.where(flipped, images.flip(dimension), images))
        return MixedBatch(made, (targets,))
