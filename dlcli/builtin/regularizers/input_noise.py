"""The regularizer `input_noise`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import MixedBatch, PerMember, Regularizer, UsageError


class InputNoise(Regularizer):
    """Adds fresh normal noise to every number of the training inputs: x + std · ε with ε ~ N(0, 1).

    For a linear network and squared error it is an `l2` penalty. It comes after preprocessing, so that with
    `standardize` one `std` suits all columns. Inputs that are class numbers (tokens, categorical) stay as they are; 0/1
    columns get noise too.

    Args:
        select: Unused: it touches no parameters.
        std: Standard deviation of the noise in units of the preprocessed inputs, ≥ 0; 0 for none.

    Raises:
        UsageError: No input holds numbers.

    Source: Bishop 1995, "Training with noise is equivalent to Tikhonov regularization".
    """

    name: ClassVar[str] = "input_noise"

    std: PerMember = Field(0.1, ge=0, description="standard deviation of the noise, in units of preprocessed inputs")

    def draw(self, shapes: Mapping[str, tuple[int, ...]], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw a standard normal number for every number of the inputs."""
        device = generator.device
        return {name: torch.randn(shape, generator=generator, device=device) for name, shape in shapes.items()}

    def batch(self, inputs: tuple[Tensor, ...], targets: Tensor, noise: Mapping[str, Tensor]) -> MixedBatch:
        """Add the noise."""
        if not any(values.is_floating_point() for values in inputs):
            raise UsageError(
                f"input_noise adds noise to numbers, but all inputs ({', '.join(noise)}) hold class numbers; remove it "
                "from [[regularizers]], or take weight_noise"
            )
        drawn = zip(inputs, noise.values(), strict=True)
        noisy = tuple(values + self.std * own if values.is_floating_point() else values for values, own in drawn)
        return MixedBatch(noisy, (targets,))
