"""Built-in preprocessors."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("preprocessor", "scale", "dlcli.builtin.preprocessors.scale:Scale")
    registry.add("preprocessor", "standardize", "dlcli.builtin.preprocessors.standardize:Standardize")
