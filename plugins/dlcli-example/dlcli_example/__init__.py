"""An example of a plugin. Loading it imports no torch: components are named, and classes are found when needed."""

from typing import TYPE_CHECKING

from dlcli import hookimpl
from dlcli_example import epochs_csv

if TYPE_CHECKING:
    from dlcli import EpochRecord, Registrar, RunInfo


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this package."""
    registry.add("activation", "snake", "dlcli_example.snake:Snake")
    registry.add("architecture", "gated_mlp", "dlcli_example.gated_mlp:GatedMLP")
    registry.add("regularizer", "relative_weight_noise", "dlcli_example.relative_weight_noise:RelativeWeightNoise")
    registry.add("metric", "top_two", "dlcli_example.top_two:TopTwo")
    registry.add("ensemble", "median_vote", "dlcli_example.median_vote:MedianVote")
    registry.add("exporter", "weights_json", "dlcli_example.weights_json:WeightsJson")


@hookimpl
def epoch_finished(run: "RunInfo", member: str, record: "EpochRecord") -> None:
    """Add a line to the run's `epochs.csv`."""
    epochs_csv.append(run.path / "epochs.csv", member, record)
