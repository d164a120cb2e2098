"""Built-in learning-rate schedules."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("schedule", "constant", "dlcli.builtin.schedules.constant:Constant")
    registry.add("schedule", "cosine", "dlcli.builtin.schedules.cosine:Cosine")
    registry.add("schedule", "cosine_restarts", "dlcli.builtin.schedules.cosine_restarts:CosineRestarts")
    registry.add("schedule", "cyclic", "dlcli.builtin.schedules.cyclic:Cyclic")
    registry.add("schedule", "exponential", "dlcli.builtin.schedules.exponential:Exponential")
    registry.add("schedule", "multi_step", "dlcli.builtin.schedules.multi_step:MultiStep")
    registry.add("schedule", "one_cycle", "dlcli.builtin.schedules.one_cycle:OneCycle")
    registry.add("schedule", "plateau", "dlcli.builtin.schedules.plateau:Plateau")
    registry.add("schedule", "polynomial", "dlcli.builtin.schedules.polynomial:Polynomial")
    registry.add("schedule", "step", "dlcli.builtin.schedules.step:Step")
    registry.add("schedule", "swa", "dlcli.builtin.schedules.swa:StochasticWeightAveraging")
