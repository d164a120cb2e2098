"""What kind of answer a network gives, and how its outputs become probabilities."""

from enum import StrEnum

import torch
from torch import Tensor


class Task(StrEnum):
    """The task, inferred from the target and stated by `dlcli build`.

    | task | output | target |
    |---|---|---|
    | binary | (B, 1), one logit | (B, 1), 0 or 1 |
    | multiclass | (B, C), logits | (B,), class index |
    | multilabel | (B, L), logits | (B, L), 0 or 1 |
    | regression | (B, R), target units | (B, R), float |

    Each also per position, with a dimension T after B. All but multiclass have targets of exactly the output's shape.
    """

    BINARY = "binary"
    MULTICLASS = "multiclass"
    MULTILABEL = "multilabel"
    REGRESSION = "regression"

    @property
    def classifies(self) -> bool:
        """Whether outputs are logits of classes or labels."""
        return self is not Task.REGRESSION


CLASSIFICATION = frozenset({Task.BINARY, Task.MULTICLASS, Task.MULTILABEL})
REGRESSION = frozenset({Task.REGRESSION})


def probabilities(output: Tensor, task: Task) -> Tensor:
    """Turn a network's outputs into probabilities: exp(log_softmax(z)) or sigmoid(z); regression is left as it is.

    Args:
        output: Logits (B, …, O), classes last.
        task: The task that the network answers.

    Returns:
        Probabilities of the same shape and dtype.
    """
    if task is Task.MULTICLASS:
        return torch.log_softmax(output, dim=-1).exp()
    return torch.sigmoid(output) if task.classifies else output
