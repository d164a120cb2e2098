"""Weights of classes, as losses of classes take them."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

ClassWeights = tuple[Annotated[float, Field(ge=0)], ...]
"""One weight a class, ≥ 0, in the order of the classes."""


def weights_of(classes: Tensor, class_weights: ClassWeights | None) -> Tensor | None:
    """Return the weight of every sample from its class index, float32; None without class weights."""
    if class_weights is None:
        return None
    return torch.tensor(class_weights, device=classes.device)[classes.long()]


def check_class_weights(class_weights: ClassWeights | None, classes: int) -> None:
    """Refuse weights that are not one a class, or all zero.

    Args:
        class_weights: As the loss has them.
        classes: How many classes the target has.

    Raises:
        ValueError: They do not fit.
    """
    if class_weights is None:
        return
    if len(class_weights) != classes:
        raise ValueError(
            f"class_weights has {len(class_weights)} numbers, but the target has {classes} classes: "
            "give one for each, in the order of the target's classes"
        )
    if not any(class_weights):
        raise ValueError("class_weights are all 0, which leaves nothing to learn: make one of them positive")
