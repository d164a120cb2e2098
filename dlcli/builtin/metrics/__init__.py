"""Built-in metrics."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("metric", "accuracy", "dlcli.builtin.metrics.accuracy:Accuracy")
    registry.add("metric", "brier", "dlcli.builtin.metrics.brier:Brier")
    registry.add("metric", "ece", "dlcli.builtin.metrics.ece:ExpectedCalibrationError")
    registry.add("metric", "mae", "dlcli.builtin.metrics.mae:MeanAbsoluteError")
    registry.add("metric", "nll", "dlcli.builtin.metrics.nll:NegativeLogLikelihood")
    registry.add("metric", "r2", "dlcli.builtin.metrics.r2:RSquared")
    registry.add("metric", "rmse", "dlcli.builtin.metrics.rmse:RootMeanSquaredError")
