"""What `cnn` and `resnet` share: networks that read one image."""

from dlcli import InputOutput


def image_shape(name: str, io: InputOutput) -> tuple[int, int, int]:
    """Return channels, height and width of the one image.

    Args:
        name: Name of the architecture that asks, for errors.
        io: What it is built for.

    Returns:
        C, H, W.

    Raises:
        ValueError: There is another input, or a target for every position.
    """
    if io.per_position:
        raise ValueError(
            f"{name} gives one answer a row, but the target has one for every position; choose another architecture"
        )
    if [field.kind for field in io.inputs] != ["image"]:
        got = ", ".join(f"{field.name} ({field.kind})" for field in io.inputs)
        raise ValueError(f"{name} needs exactly one input, of kind image, got {got or 'none'}; or choose mlp")
    channels, height, width = io.inputs[0].shape
    return channels, height, width
