"""Built-in searches."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("search", "cmaes", "dlcli.builtin.searches.cmaes:CmaEs")
    registry.add("search", "gp", "dlcli.builtin.searches.gp:GaussianProcess")
    registry.add("search", "grid", "dlcli.builtin.searches.grid:Grid")
    registry.add("search", "quasi_random", "dlcli.builtin.searches.quasi_random:QuasiRandom")
    registry.add("search", "random", "dlcli.builtin.searches.random:Random")
    registry.add("search", "tpe", "dlcli.builtin.searches.tpe:TreeParzen")
