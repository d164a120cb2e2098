"""Foreign formats of data."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the importers."""
    registry.add("importer", "csv", "dlcli.builtin.importers.csv:CSV")
    registry.add("importer", "graph", "dlcli.builtin.importers.graph:Graph")
    registry.add("importer", "hdf5", "dlcli.builtin.importers.hdf5:HDF5")
    registry.add("importer", "idx", "dlcli.builtin.importers.idx:IDX")
    registry.add("importer", "images", "dlcli.builtin.importers.images:Images")
    registry.add("importer", "npy", "dlcli.builtin.importers.npy:NPY")
    registry.add("importer", "npz", "dlcli.builtin.importers.npz:NPZ")
    registry.add("importer", "sequences", "dlcli.builtin.importers.sequences:Sequences")
    registry.add("importer", "text", "dlcli.builtin.importers.text:Text")
