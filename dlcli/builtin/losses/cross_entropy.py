"""The loss `cross_entropy`."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dlcli import Loss, Task


class CrossEntropy(Loss):
    """Cross-entropy of logits against class indices: ℓ = −log softmax(z)[y], in nats; for multiclass targets.

    With label smoothing s the target is 1 − s + s/C for the class y and s/C for each other one.

    Args:
        label_smoothing: s in [0, 1); 0 means none.

    Shape:
        output (B, C) and target (B,) give (B,); output (B, T, C) and target (B, T) give (B, T).

    Source: Szegedy et al. 2016, "Rethinking the Inception architecture", for label smoothing.
    """

    name: ClassVar[str] = "cross_entropy"
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.MULTICLASS})

    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target spread over all classes")

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return −log p of the right class, smoothed, for every sample."""
        return F.cross_entropy(
            _classes_second(output), target.long(), reduction="none", label_smoothing=self.label_smoothing
        )

    def mean(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over samples in one call."""
        return F.cross_entropy(_classes_second(output), target.long(), label_smoothing=self.label_smoothing)


def _classes_second(output: Tensor) -> Tensor:
    """Return logits as torch wants them, (B, C) or (B, C, T); a view costs a node in the graph, so where needed."""
    return output if output.ndim == 2 else output.movedim(-1, 1)
