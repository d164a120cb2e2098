"""Which network a starter recipe gets, by what is in the dataset."""

from pathlib import Path
from typing import Any

from dlcli.data.describe import FieldDescription, FileDescription
from dlcli.data.shifted import predicts_next_step

CHANNELS = [32, 64]
"""Of each block of convolutions; each block halves height and width."""
SMALLEST_IMAGE = 12
"""Height and width in pixels from which on convolutions are worth their while."""


def starter_network(description: FileDescription) -> tuple[str, dict[str, Any]]:
    """Choose an architecture and its parameters.

    `cnn` for an image; `transformer` for an answer at every step, causal where that is the step after it; `lstm` for
    sequences, and tokens, with one answer a row; `mlp` for all else.

    Args:
        description: What is in the file.

    Returns:
        The architecture's name, and its keys of `[model]`.
    """
    inputs = [field for field in description.fields if field.role == "input"]
    embedded = {"inputs": ["embed"]} if any(field.kind == "tokens" and field.classes for field in inputs) else {}
    hidden = {"activation": "relu", "norm": "batch", "dropout": 0.1}
    if _one_image(description):
        halved = 2 ** len(CHANNELS)
        floor = {"floor": True} if any(pixels % halved for pixels in inputs[0].shape[:2]) else {}
        return "cnn", {"channels": CHANNELS, **floor, "hidden": [128], **hidden}
    if description.per_position and _steps_side_by_side(inputs):
        causal = {"causal": True} if predicts_next_step(Path(description.path)) else {}
        return "transformer", {**embedded, "width": 128, "layers": 2, "heads": 4, **causal, "dropout": 0.1}
    if _steps_side_by_side(inputs):
        return "lstm", {**embedded, "hidden": 128, "layers": 1, "dropout": 0.1}
    return "mlp", {**embedded, "hidden": [128, 128], **hidden}


def _one_image(description: FileDescription) -> bool:
    inputs = [field for field in description.fields if field.role in ("input", "condition")]
    return (
        len(inputs) == 1
        and inputs[0].kind == "image"
        and min(inputs[0].shape[:2]) >= SMALLEST_IMAGE
        and not description.per_position
    )


def _steps_side_by_side(inputs: list[FieldDescription]) -> bool:
    """Return whether every step has numbers, or tokens that `embed` makes numbers of, in all inputs."""
    stepwise = all(field.kind == "sequence" or (field.kind == "tokens" and field.classes) for field in inputs)
    return stepwise and len({field.shape[0] for field in inputs}) == 1
