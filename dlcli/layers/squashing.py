"""Whether a network ends in probabilities where logits are wanted."""

from torch import Tensor

from dlcli.contracts.task import Task

SQUASHING = {"Softmax": "softmax", "Sigmoid": "sigmoid", "LogSigmoid": "log-sigmoid", "LogSoftmax": "log-softmax"}
"""What makes probabilities or their logarithms, by the names that torch gives to the steps of its backward pass."""
RESHAPING = {"View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Transpose", "Permute", "Slice", "Select"}
"""What may follow without changing a number."""


def squashed_by(output: Tensor, task: Task) -> str | None:
    """Return what made a network's outputs probabilities, or their logarithms, as torch recorded it.

    Args:
        output: What a network answered, with its history.
        task: Whose logits it should be. For regression anything may be last; for multiclass logarithms of
            probabilities are logits too.

    Returns:
        Such as `softmax`; None where nothing did.
    """
    if not task.classifies:
        return None
    made = output.grad_fn
    while made is not None:
        step = made.name().partition("Backward")[0]  # such as SoftmaxBackward0
        if step not in RESHAPING:
            return None if (step, task) == ("LogSoftmax", Task.MULTICLASS) else SQUASHING.get(step)
        made = made.next_functions[0][0]
    return None
