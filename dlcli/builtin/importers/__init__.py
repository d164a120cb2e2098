"""Foreign formats of data."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the importers."""
    registry.add("importer", "npz", "dlcli.builtin.importers.npz:NPZ")
