"""Built-in losses."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("loss", "binary_cross_entropy", "dlcli.builtin.losses.binary_cross_entropy:BinaryCrossEntropy")
    registry.add("loss", "cross_entropy", "dlcli.builtin.losses.cross_entropy:CrossEntropy")
    registry.add("loss", "epsilon_insensitive", "dlcli.builtin.losses.epsilon_insensitive:EpsilonInsensitive")
    registry.add("loss", "focal", "dlcli.builtin.losses.focal:Focal")
    registry.add("loss", "gaussian_nll", "dlcli.builtin.losses.gaussian_nll:GaussianNLL")
    registry.add("loss", "hinge", "dlcli.builtin.losses.hinge:Hinge")
    registry.add("loss", "huber", "dlcli.builtin.losses.huber:Huber")
    registry.add("loss", "mae", "dlcli.builtin.losses.mae:MeanAbsoluteError")
    registry.add("loss", "mse", "dlcli.builtin.losses.mse:MeanSquaredError")
    registry.add("loss", "quantile", "dlcli.builtin.losses.quantile:Quantile")
    registry.add("loss", "squared_hinge", "dlcli.builtin.losses.squared_hinge:SquaredHinge")
