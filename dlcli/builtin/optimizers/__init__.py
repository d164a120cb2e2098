"""Built-in optimizers."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("optimizer", "adagrad", "dlcli.builtin.optimizers.adagrad:Adagrad")
    registry.add("optimizer", "adam", "dlcli.builtin.optimizers.adam:Adam")
    registry.add("optimizer", "adamw", "dlcli.builtin.optimizers.adamw:AdamW")
    registry.add("optimizer", "lion", "dlcli.builtin.optimizers.lion:Lion")
    registry.add("optimizer", "nadam", "dlcli.builtin.optimizers.nadam:NAdam")
    registry.add("optimizer", "rmsprop", "dlcli.builtin.optimizers.rmsprop:RMSprop")
    registry.add("optimizer", "sgd", "dlcli.builtin.optimizers.sgd:SGD")
