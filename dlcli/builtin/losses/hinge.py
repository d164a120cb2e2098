"""The loss `hinge`."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from dlcli import CLASSIFICATION, Loss, Task
from dlcli.builtin.losses.margins import Multiclass, shortfalls


class Hinge(Loss):
    """Hinge loss of support vector machines: ℓ = max(0, 1 − s z) with s = 2y − 1; for classes alone, not probabilities.

    Binary so, multilabel the mean of it over labels. Multiclass: max(0, 1 + max_{c≠y} z_c − z_y) of Crammer and
    Singer, or Σ_{c≠y} max(0, 1 + z_c − z_y) / C of Weston and Watkins. Outputs are margins: probabilities made from
    them are not calibrated, so `nll`, `brier` and `ece` say little. Rows beyond their margin give no gradient.

    Args:
        multiclass: `crammer_singer`, as scikit-learn's hinge_loss, or `weston_watkins`, as torch's MultiMarginLoss.

    Shape:
        output (B, O) gives (B,); (B, T, O) gives (B, T).

    Source: Crammer and Singer 2001, "On the algorithmic implementation of multiclass kernel-based vector machines";
        Weston and Watkins 1999, "Support vector machines for multi-class pattern recognition".
    """

    name: ClassVar[str] = "hinge"
    tasks: ClassVar[frozenset[Task]] = CLASSIFICATION

    multiclass: Multiclass = Field("crammer_singer", description="which margins count where there are several classes")

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over margins for every sample."""
        return shortfalls(output, target, self.multiclass).mean(-1)
