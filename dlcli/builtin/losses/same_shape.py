"""Targets of a regression beside its outputs."""

from torch import Tensor


def same_shape(target: Tensor, output: Tensor, loss: str) -> Tensor:
    """Return the target in the output's dtype.

    Args:
        target: Targets.
        output: Outputs.
        loss: Name of the loss, for the message.

    Returns:
        The target.

    Raises:
        ValueError: Their shapes differ; broadcasting them would compare every row with every other.
    """
    if target.shape != output.shape:
        raise ValueError(
            f"{loss} needs a target of the output's shape {tuple(output.shape)}, got {tuple(target.shape)}; "
            "a single target is (B, 1), not (B,)"
        )
    return target.to(output.dtype)
