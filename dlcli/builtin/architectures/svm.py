"""The architecture `svm`."""

from typing import ClassVar

from pydantic import Field
from torch import nn

from dlcli import Architecture, ConditionUse, InputOutput, PerMember, Regularizer, Task
from dlcli.builtin.architectures.flat import affine_network
from dlcli.builtin.regularizers.l2 import L2


class SVM(Architecture):
    """Linear support vector machine: the z = W x + b that makes ½ ‖W‖² + C Σ ℓ(z, y) small, with a soft margin.

    ℓ is the hinge loss, for regression the epsilon-insensitive one, unless the recipe names another. Training divides
    the sum by C · N, so that it makes the mean of ℓ over the N training rows and ½ ‖W‖² / (C · N) small: an `l2` of
    that strength belongs to the network; biases are free of it. Columns must be on one scale: `standardize`. For few
    rows and many columns; its outputs are margins, so that `nll` and the like say little. Condition fields scale and
    shift the inputs, as in `linear`; the problem is then no longer convex.

    Args:
        C: How much a row inside the margin costs, > 0: larger values follow the training rows more closely.
        conditions: Which condition fields scale and shift the inputs, one entry at most, as in `mlp`; empty for all.

    Shape:
        features (B, F), images (B, C, H, W) and sequences (B, T, F) give margins or targets (B, O).

    Raises:
        ValueError: From `build`: inputs, conditions or a target that it cannot do.

    Source: Cortes and Vapnik 1995, "Support-vector networks"; Vapnik 1995, "The nature of statistical learning theory".
    """

    name: ClassVar[str] = "svm"

    C: PerMember = Field(1.0, gt=0, description="how much a row inside the margin costs")
    conditions: tuple[ConditionUse, ...] = Field((), description="which conditions scale and shift the inputs")

    def build(self, io: InputOutput) -> nn.Module:
        """Build the network; torch's default initial values."""
        return affine_network(self.name, io, self.conditions)

    def default_loss(self, task: Task) -> str:
        """Return `hinge`; for regression `epsilon_insensitive`."""
        return "hinge" if task.classifies else "epsilon_insensitive"

    def own_regularizers(self, rows: int) -> tuple[Regularizer, ...]:
        """Return an `l2` of strength 1 / (C · N)."""
        return (L2(strength=1 / (self.C * rows)),)
