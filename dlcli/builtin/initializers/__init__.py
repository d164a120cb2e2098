"""Built-in initializers."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("initializer", "auto", "dlcli.builtin.initializers.auto:Auto")
    registry.add("initializer", "kaiming_normal", "dlcli.builtin.initializers.kaiming_normal:KaimingNormal")
    registry.add("initializer", "kaiming_uniform", "dlcli.builtin.initializers.kaiming_uniform:KaimingUniform")
    registry.add("initializer", "lecun_normal", "dlcli.builtin.initializers.lecun_normal:LecunNormal")
    registry.add("initializer", "lecun_uniform", "dlcli.builtin.initializers.lecun_uniform:LecunUniform")
    registry.add("initializer", "normal", "dlcli.builtin.initializers.normal:Normal")
    registry.add("initializer", "orthogonal", "dlcli.builtin.initializers.orthogonal:Orthogonal")
    registry.add("initializer", "xavier_normal", "dlcli.builtin.initializers.xavier_normal:XavierNormal")
    registry.add("initializer", "xavier_uniform", "dlcli.builtin.initializers.xavier_uniform:XavierUniform")
