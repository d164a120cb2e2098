"""The architecture `logistic`."""

from typing import ClassVar

from pydantic import Field
from torch import nn

from dlcli import Architecture, ConditionUse, InputOutput
from dlcli.builtin.architectures.flat import affine_network


class Logistic(Architecture):
    """Logistic regression: one affine map of all inputs to logits, for classification alone.

    Binary: one logit; multiclass: one a class (softmax regression); multilabel: one a label. The probabilities come
    from the loss and the metrics, never from the network. Condition fields scale and shift the inputs, as in `linear`.

    Args:
        conditions: Which condition fields scale and shift the inputs, one entry at most, as in `mlp`; empty for all.

    Shape:
        features (B, F), images (B, C, H, W) and sequences (B, T, F) give logits (B, O).

    Raises:
        ValueError: From `build`: a regression task, or inputs, conditions or a target that it cannot do.

    Source: Cox 1958, "The regression analysis of binary sequences".
    """

    name: ClassVar[str] = "logistic"

    conditions: tuple[ConditionUse, ...] = Field((), description="which conditions scale and shift the inputs")

    def build(self, io: InputOutput) -> nn.Module:
        """Build the network; torch's default initial values."""
        if not io.task.classifies:
            raise ValueError('logistic classifies, but the task is regression; use architecture = "linear"')
        return affine_network(self.name, io, self.conditions)
