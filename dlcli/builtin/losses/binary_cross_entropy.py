"""The loss `binary_cross_entropy`."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dlcli import Loss, Task
from dlcli.builtin.losses.class_weights import ClassWeights, check_class_weights, weights_of

PositiveWeight = tuple[Annotated[float, Field(gt=0)], ...]


class BinaryCrossEntropy(Loss):
    """Binary cross-entropy of logits: ℓ = −y log σ(z) − (1 − y) log(1 − σ(z)), in nats, the mean over labels.

    For binary and multilabel targets. Computed from logits, so it is finite for all of them. Weights help where one
    side is rare; probabilities then come out as if it were not.

    Args:
        class_weights: Binary: weights ≥ 0 of y = 0 and y = 1; the loss is then Σ w_y ℓ / Σ w_y. None weighs both 1.
        positive_weight: Multilabel: weight > 0 of each label's y = 1, inside ℓ: −p y log σ(z) − …, as `pos_weight` of
            torch's BCEWithLogitsLoss; it is not divided by. None weighs all 1.

    Shape:
        output and target (B, L) give (B,); (B, T, L) gives (B, T); L = 1 for binary.

    Source: torch.nn.BCEWithLogitsLoss.
    """

    name: ClassVar[str] = "binary_cross_entropy"
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.BINARY, Task.MULTILABEL})

    class_weights: ClassWeights | None = Field(None, description="binary: weights of y = 0 and y = 1")
    positive_weight: PositiveWeight | None = Field(None, description="multilabel: weight of each label's y = 1")

    def check(self, task: Task, outputs: int) -> None:
        """Refuse weights that are for the other task, or not one a class or label."""
        if task is Task.BINARY:
            check_class_weights(self.class_weights, 2)
            if self.positive_weight is not None:
                raise ValueError("positive_weight is for multilabel, got a binary target: set class_weights = [1.0, …]")
            return
        if self.class_weights is not None:
            raise ValueError("class_weights is for binary, got a multilabel target: set positive_weight, one a label")
        if self.positive_weight is not None and len(self.positive_weight) != outputs:
            raise ValueError(
                f"positive_weight has {len(self.positive_weight)} numbers, but the target has {outputs} labels: "
                "give one for each, in the order of the target's labels"
            )

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over labels for every sample."""
        return self._entropy(output, target, "none").mean(-1)

    def mean(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over samples and labels in one call."""
        return self._entropy(output, target, "mean")

    def weights(self, target: Tensor) -> Tensor | None:
        """Return the weight of the class of every sample."""
        return None if self.class_weights is None else weights_of(target[..., 0], self.class_weights)

    def _entropy(self, output: Tensor, target: Tensor, reduction: str) -> Tensor:
        given = self.positive_weight
        weight = None if given is None else torch.tensor(given, dtype=output.dtype, device=output.device)
        return F.binary_cross_entropy_with_logits(
            output, target.to(output.dtype), reduction=reduction, pos_weight=weight
        )
