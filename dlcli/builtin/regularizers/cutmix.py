"""The regularizer `cutmix`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import MixedBatch, PerMember, Regularizer
from dlcli.builtin.regularizers.images import each_image, inside, rows_of_images
from dlcli.builtin.regularizers.mixing import drawn_keys, drawn_share, partners


class CutMix(Regularizer):
    """Pastes a rectangle of another image of the batch into each, and mixes the loss by the area.

    ℓ ← λ · ℓ(yᵢ) + (1 − λ) · ℓ(yⱼ), λ the share of the image that is left. One rectangle a batch, with the image's
    proportions, its area 1 − λ drawn from Beta(α, α), its middle uniform; λ is then what is left after cutting it at
    the border. j is a random order of the rows that count. Inputs that are no images stay as they are. As with `mixup`,
    `train_loss` is of mixed rows.

    Args:
        select: Unused: it touches no parameters.
        alpha: α, ≥ 0: 0 pastes nothing, 1 every area alike.

    Raises:
        UsageError: No input is an image.

    Source: Yun et al. 2019, "CutMix: Regularization strategy to train strong classifiers with localizable features",
    and its code.
    """

    name: ClassVar[str] = "cutmix"

    alpha: PerMember = Field(1.0, ge=0, description="of Beta(α, α), from which the area that is left comes; 0 for none")

    def draw(self, shapes: Mapping[str, tuple[int, ...]], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw λ, a number a row whose order says who is mixed with whom, and the middle, down and across."""
        rows = rows_of_images(self.name, shapes)
        keys = drawn_keys(rows, generator)
        middle = torch.rand(2, generator=generator, device=generator.device)
        return {"share": drawn_share(float(self.alpha), generator), "keys": keys, "middle": middle}

    def mix(
        self, inputs: tuple[Tensor, ...], targets: Tensor, weight: Tensor, noise: Mapping[str, Tensor]
    ) -> MixedBatch:
        """Paste into the rows that count."""
        partner, kept = partners(noise["keys"], weight), []

        def pasted(images: Tensor) -> Tensor:
            cut = self._cut(images, noise)
            kept.append(1 - cut.to(noise["share"].dtype).mean())
            return torch.where(cut, images.index_select(0, partner), images)

        mixed = each_image(inputs, pasted)
        return MixedBatch(mixed, (targets, targets.index_select(0, partner)), torch.stack(kept).mean())

    def _cut(self, images: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        """Return where the rectangle lies (H, W)."""
        side = (1 - noise["share"]).sqrt()

        def along(size: int, middle: Tensor) -> Tensor:
            half = (size * side).floor().div(2, rounding_mode="floor")
            place = (middle * size).floor()
            return inside(size, place - half, place + half)

        down, across = noise["middle"].unbind()
        return along(images.shape[2], down).unsqueeze(1) & along(images.shape[3], across)
