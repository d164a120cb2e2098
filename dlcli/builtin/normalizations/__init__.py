"""Built-in normalizations."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("normalization", "batch", "dlcli.builtin.normalizations.batch:Batch")
    registry.add("normalization", "group", "dlcli.builtin.normalizations.group:Group")
    registry.add("normalization", "instance", "dlcli.builtin.normalizations.instance:Instance")
    registry.add("normalization", "layer", "dlcli.builtin.normalizations.layer:Layer")
    registry.add("normalization", "none", "dlcli.builtin.normalizations.none:NoNormalization")
    registry.add("normalization", "rms", "dlcli.builtin.normalizations.rms:RMS")
