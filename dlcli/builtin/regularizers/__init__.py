"""Built-in regularizers."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("regularizer", "activity_l1", "dlcli.builtin.regularizers.activity_l1:ActivityL1")
    registry.add("regularizer", "clip_gradients", "dlcli.builtin.regularizers.clip_gradients:ClipGradients")
    registry.add("regularizer", "cutmix", "dlcli.builtin.regularizers.cutmix:CutMix")
    registry.add("regularizer", "cutout", "dlcli.builtin.regularizers.cutout:Cutout")
    registry.add("regularizer", "early_stopping", "dlcli.builtin.regularizers.early_stopping:EarlyStopping")
    registry.add("regularizer", "elastic_net", "dlcli.builtin.regularizers.elastic_net:ElasticNet")
    registry.add("regularizer", "gap_stopping", "dlcli.builtin.regularizers.gap_stopping:GapStopping")
    registry.add("regularizer", "input_noise", "dlcli.builtin.regularizers.input_noise:InputNoise")
    registry.add("regularizer", "l1", "dlcli.builtin.regularizers.l1:L1")
    registry.add("regularizer", "l2", "dlcli.builtin.regularizers.l2:L2")
    registry.add("regularizer", "max_norm", "dlcli.builtin.regularizers.max_norm:MaxNorm")
    registry.add("regularizer", "mixup", "dlcli.builtin.regularizers.mixup:Mixup")
    registry.add("regularizer", "orthogonal", "dlcli.builtin.regularizers.orthogonal:Orthogonal")
    registry.add("regularizer", "random_crop", "dlcli.builtin.regularizers.random_crop:RandomCrop")
    registry.add("regularizer", "random_flip", "dlcli.builtin.regularizers.random_flip:RandomFlip")
    registry.add("regularizer", "random_rotation", "dlcli.builtin.regularizers.random_rotation:RandomRotation")
    registry.add("regularizer", "random_shift", "dlcli.builtin.regularizers.random_shift:RandomShift")
    registry.add("regularizer", "weight_noise", "dlcli.builtin.regularizers.weight_noise:WeightNoise")
