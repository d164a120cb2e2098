"""The loss `cross_entropy`."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dlcli import Loss, PerMember, Task
from dlcli.builtin.losses.class_weights import ClassWeights, check_class_weights, weights_of


class CrossEntropy(Loss):
    """Cross-entropy of logits against class indices: ℓ = −log softmax(z)[y], in nats; for multiclass targets.

    With label smoothing s the target is 1 − s + s/C for the class y and s/C for each other one.

    Args:
        label_smoothing: s in [0, 1); 0 means none.
        class_weights: w_c ≥ 0, one a class in the order of the classes; None weighs all 1. The loss is then
            Σ w_y ℓ / Σ w_y, for rare classes; probabilities come out as if classes had those weights. Unlike torch's
            with label smoothing, the weight is that of y alone.

    Shape:
        output (B, C) and target (B,) give (B,); output (B, T, C) and target (B, T) give (B, T).

    Source: Szegedy et al. 2016, "Rethinking the Inception architecture", for label smoothing.
    """

    name: ClassVar[str] = "cross_entropy"
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.MULTICLASS})

    label_smoothing: PerMember = Field(0.0, ge=0, lt=1, description="share of the target spread over all classes")
    class_weights: ClassWeights | None = Field(None, description="weight of each class, in the order of the classes")

    def check(self, task: Task, outputs: int) -> None:
        """Refuse class weights that are not one a class."""
        check_class_weights(self.class_weights, outputs)

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return −log p of the right class, smoothed, for every sample."""
        return self._smoothed(output, target, "none")

    def mean(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over samples in one call."""
        return self._smoothed(output, target, "mean")

    def weights(self, target: Tensor) -> Tensor | None:
        """Return the weight of the class of every sample."""
        return weights_of(target, self.class_weights)

    def _smoothed(self, output: Tensor, target: Tensor, reduction: str) -> Tensor:
        smoothing, logits = self.label_smoothing, _classes_second(output)
        if not isinstance(smoothing, Tensor):
            return F.cross_entropy(logits, target.long(), reduction=reduction, label_smoothing=smoothing)
        # torch takes a number alone; a stack has a tensor.
        logarithms = logits.log_softmax(1)
        right = F.nll_loss(logarithms, target.long(), reduction=reduction)
        spread = logarithms.mean(1) if reduction == "none" else logarithms.mean()
        return (1 - smoothing) * right - smoothing * spread


def _classes_second(output: Tensor) -> Tensor:
    """Return logits as torch wants them, (B, C) or (B, C, T); a view costs a node in the graph, so where needed."""
    return output if output.ndim == 2 else output.movedim(-1, 1)
