"""The loss `squared_hinge`."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from dlcli import CLASSIFICATION, Loss, Task
from dlcli.builtin.losses.margins import Multiclass, shortfalls


class SquaredHinge(Loss):
    """Squared hinge loss: ℓ = max(0, 1 − s z)² with s = 2y − 1; as `hinge`, but smooth at the margin.

    Binary so, multilabel the mean of it over labels. Multiclass: max(0, 1 + max_{c≠y} z_c − z_y)² of Crammer and
    Singer, or Σ_{c≠y} max(0, 1 + z_c − z_y)² / C of Weston and Watkins. Wrong labels far out dominate it.

    Args:
        multiclass: `crammer_singer`, or `weston_watkins`, as torch's MultiMarginLoss with p = 2.

    Shape:
        output (B, O) gives (B,); (B, T, O) gives (B, T).

    Source: Tang 2013, "Deep learning using linear support vector machines".
    """

    name: ClassVar[str] = "squared_hinge"
    tasks: ClassVar[frozenset[Task]] = CLASSIFICATION

    multiclass: Multiclass = Field("crammer_singer", description="which margins count where there are several classes")

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over squared margins for every sample."""
        return shortfalls(output, target, self.multiclass).square().mean(-1)
