"""The regularizer `random_rotation`."""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import MixedBatch, PerMember, Regularizer
from dlcli.builtin.regularizers.images import Fill, each_image, rows_of_images, sampled, uniform


class RandomRotation(Regularizer):
    """Turns training images about their middle at random, each row for itself.

    For pictures without a fixed upright, and by a few degrees for handwriting; turned far, a 6 is a 9.

    Pixels are interpolated linearly between four.

    Args:
        select: Unused: it touches no parameters.
        degrees: How far at most, either way, in [0, 180].
        fill: What comes in: the nearest pixel (`edge`), or 0 (`zero`), which is the mean of standardized images.

    Raises:
        UsageError: No input is an image.

    Source: Simard et al. 2003, "Best practices for convolutional neural networks applied to visual document
        analysis".
    """

    name: ClassVar[str] = "random_rotation"

    degrees: PerMember = Field(10.0, ge=0, le=180, description="how far at most, either way, in degrees")
    fill: Fill = Field("edge", description="what comes in: the nearest pixel, or 0")

    def draw(self, shapes: Mapping[str, tuple[int, ...]], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw a number in [-1, 1) for each row; positive ones turn against the clock."""
        return {"turn": uniform(rows_of_images(self.name, shapes), 1, generator)}

    def batch(self, inputs: tuple[Tensor, ...], targets: Tensor, noise: Mapping[str, Tensor]) -> MixedBatch:
        """Turn the images."""
        angle = noise["turn"][:, 0] * self.degrees * (math.pi / 180)
        cosine, sine, none = angle.cos(), angle.sin(), torch.zeros_like(angle)

        def turned(images: Tensor) -> Tensor:
            # Places run from -1 to 1 along both sides, so that a turn must know which is the longer.
            tall = images.shape[2] / images.shape[3]
            first = torch.stack([cosine, -sine * tall, none], dim=1)
            return sampled(
                images, torch.stack([first, torch.stack([sine / tall, cosine, none], dim=1)], dim=1), self.fill
            )

        return MixedBatch(each_image(inputs, turned), (targets,))
