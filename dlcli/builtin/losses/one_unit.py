"""Parameters of losses that are in the unit of the target."""

from torch import Tensor


def of_scaled_target(name: str, value: float | Tensor, scale: Tensor) -> float | Tensor:
    """Return what a parameter in the target's unit is where the target is divided by a scale.

    Args:
        name: The parameter, for errors.
        value: In the target's unit.
        scale: Of each target (O,), > 0.

    Returns:
        value / scale.

    Raises:
        ValueError: There are several targets, which each have a unit of their own once they are scaled.
    """
    if len(scale) > 1:
        raise ValueError(
            f"{name} is one number in the target's unit, but data.scale_target divides each of {len(scale)} targets by "
            "its own standard deviation; set data.scale_target = false, or train on one target"
        )
    return value / scale.item()
