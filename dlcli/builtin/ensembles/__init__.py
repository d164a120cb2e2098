"""Built-in ensembling strategies."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("ensemble", "adaboost", "dlcli.builtin.ensembles.adaboost:AdaBoost")
    registry.add("ensemble", "average_weights", "dlcli.builtin.ensembles.average_weights:AverageWeights")
    registry.add("ensemble", "bagging", "dlcli.builtin.ensembles.bagging:Bagging")
    registry.add("ensemble", "checkpoints", "dlcli.builtin.ensembles.checkpoints:Checkpoints")
    registry.add("ensemble", "distill", "dlcli.builtin.ensembles.distill:Distill")
    registry.add("ensemble", "ema", "dlcli.builtin.ensembles.ema:WeightEma")
    registry.add("ensemble", "fast_geometric", "dlcli.builtin.ensembles.fast_geometric:FastGeometric")
    registry.add("ensemble", "gradient_boosting", "dlcli.builtin.ensembles.gradient_boosting:GradientBoosting")
    registry.add("ensemble", "greedy", "dlcli.builtin.ensembles.greedy:Greedy")
    registry.add("ensemble", "snapshot", "dlcli.builtin.ensembles.snapshot:Snapshot")
    registry.add("ensemble", "soup", "dlcli.builtin.ensembles.soup:Soup")
    registry.add("ensemble", "stacking", "dlcli.builtin.ensembles.stacking:Stacking")
    registry.add("ensemble", "swa", "dlcli.builtin.ensembles.swa:WeightSwa")
    registry.add("ensemble", "top_k", "dlcli.builtin.ensembles.top_k:TopK")
    registry.add("ensemble", "voting", "dlcli.builtin.ensembles.voting:Voting")
