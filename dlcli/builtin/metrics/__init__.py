"""Built-in metrics."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("metric", "accuracy", "dlcli.builtin.metrics.accuracy:Accuracy")
    registry.add("metric", "auroc", "dlcli.builtin.metrics.auroc:AreaUnderROC")
    registry.add("metric", "average_precision", "dlcli.builtin.metrics.average_precision:AveragePrecision")
    registry.add("metric", "brier", "dlcli.builtin.metrics.brier:Brier")
    registry.add("metric", "confusion", "dlcli.builtin.metrics.confusion:Confusion")
    registry.add("metric", "ece", "dlcli.builtin.metrics.ece:ExpectedCalibrationError")
    registry.add("metric", "f1", "dlcli.builtin.metrics.f1:F1")
    registry.add("metric", "mae", "dlcli.builtin.metrics.mae:MeanAbsoluteError")
    registry.add("metric", "mape", "dlcli.builtin.metrics.mape:MeanAbsolutePercentageError")
    registry.add("metric", "mse", "dlcli.builtin.metrics.mse:MeanSquaredError")
    registry.add("metric", "nll", "dlcli.builtin.metrics.nll:NegativeLogLikelihood")
    registry.add("metric", "perplexity", "dlcli.builtin.metrics.perplexity:Perplexity")
    registry.add("metric", "precision", "dlcli.builtin.metrics.precision:Precision")
    registry.add("metric", "r2", "dlcli.builtin.metrics.r2:RSquared")
    registry.add("metric", "recall", "dlcli.builtin.metrics.recall:Recall")
    registry.add("metric", "rmse", "dlcli.builtin.metrics.rmse:RootMeanSquaredError")
    registry.add("metric", "top_k", "dlcli.builtin.metrics.top_k:TopK")
    registry.add("metric", "torchmetrics", "dlcli.builtin.metrics.torchmetrics:TorchMetrics")
