"""The loss `binary_cross_entropy`."""

from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from dlcli import Loss, Task


class BinaryCrossEntropy(Loss):
    """Binary cross-entropy of logits: ℓ = −y log σ(z) − (1 − y) log(1 − σ(z)), in nats, the mean over labels.

    For binary and multilabel targets. Computed from logits, so it is finite for all of them.

    Shape:
        output and target (B, L) give (B,); (B, T, L) gives (B, T); L = 1 for binary.
    """

    name: ClassVar[str] = "binary_cross_entropy"
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.BINARY, Task.MULTILABEL})

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over labels for every sample."""
        return F.binary_cross_entropy_with_logits(output, target.to(output.dtype), reduction="none").mean(-1)

    def mean(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over samples and labels in one call."""
        return F.binary_cross_entropy_with_logits(output, target.to(output.dtype))
