"""The regularizer `mixup`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import MixedBatch, PerMember, Regularizer, UsageError
from dlcli.builtin.regularizers.mixing import drawn_keys, drawn_share, partners


class Mixup(Regularizer):
    """Trains on what lies between rows: mixes each with another of its batch, inputs and loss alike.

    x ← λ · xᵢ + (1 − λ) · xⱼ and ℓ ← λ · ℓ(yᵢ) + (1 − λ) · ℓ(yⱼ), with one λ ~ Beta(α, α) a batch and j a random order
    of the rows that count. Of a squared error the gradient is that of mixed targets. Probabilities get less sure, and
    `train_loss` is of mixed rows, so that it lies above `val_loss`. A row keeps its own weight, length, mask and
    conditions.

    Args:
        select: Unused: it touches no parameters.
        alpha: α, ≥ 0: 0 mixes nothing, small ones little of a second row, 1 every share alike. Its authors take 0.2 to
            0.4 for large images, 1 for small ones.

    Raises:
        UsageError: An input holds class numbers, or there is a target for each position.

    Source: Zhang et al. 2018, "mixup: Beyond empirical risk minimization", and its code.
    """

    name: ClassVar[str] = "mixup"

    alpha: PerMember = Field(0.2, ge=0, description="of Beta(α, α), from which the shares of two rows come; 0 for none")

    def draw(self, shapes: Mapping[str, tuple[int, ...]], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw λ, and a number a row whose order says who is mixed with whom."""
        rows = next(iter(shapes.values()))[0]
        return {"share": drawn_share(float(self.alpha), generator), "keys": drawn_keys(rows, generator)}

    def mix(
        self, inputs: tuple[Tensor, ...], targets: Tensor, weight: Tensor, noise: Mapping[str, Tensor]
    ) -> MixedBatch:
        """Mix the rows that count."""
        _check(inputs, targets)
        share, partner = noise["share"], partners(noise["keys"], weight)
        mixed = tuple(share * values + (1 - share) * values.index_select(0, partner) for values in inputs)
        return MixedBatch(mixed, (targets, targets.index_select(0, partner)), share)


def _check(inputs: tuple[Tensor, ...], targets: Tensor) -> None:
    if not all(values.is_floating_point() for values in inputs):
        raise UsageError(
            "mixup mixes numbers, but an input holds class numbers (tokens, categorical); remove it from "
            '[[regularizers]], or make numbers of them, such as by preprocess = ["one_hot"]'
        )
    if targets.ndim > 1 + targets.is_floating_point():
        raise UsageError(
            "mixup mixes whole rows, but there is a target for each position, and rows differ in length; remove it "
            "from [[regularizers]], or take input_noise"
        )
