"""Built-in regularizers."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("regularizer", "clip_gradients", "dlcli.builtin.regularizers.clip_gradients:ClipGradients")
    registry.add("regularizer", "early_stopping", "dlcli.builtin.regularizers.early_stopping:EarlyStopping")
    registry.add("regularizer", "l2", "dlcli.builtin.regularizers.l2:L2")
    registry.add("regularizer", "random_crop", "dlcli.builtin.regularizers.random_crop:RandomCrop")
    registry.add("regularizer", "random_flip", "dlcli.builtin.regularizers.random_flip:RandomFlip")
    registry.add("regularizer", "random_rotation", "dlcli.builtin.regularizers.random_rotation:RandomRotation")
    registry.add("regularizer", "random_shift", "dlcli.builtin.regularizers.random_shift:RandomShift")
