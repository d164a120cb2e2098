"""Built-in preprocessors."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("preprocessor", "impute", "dlcli.builtin.preprocessors.impute:Impute")
    registry.add("preprocessor", "log1p", "dlcli.builtin.preprocessors.log1p:Log1p")
    registry.add("preprocessor", "one_hot", "dlcli.builtin.preprocessors.one_hot:OneHot")
    registry.add("preprocessor", "piecewise_linear", "dlcli.builtin.preprocessors.piecewise_linear:PiecewiseLinear")
    registry.add("preprocessor", "quantile", "dlcli.builtin.preprocessors.quantile:Quantile")
    registry.add("preprocessor", "scale", "dlcli.builtin.preprocessors.scale:Scale")
    registry.add("preprocessor", "standardize", "dlcli.builtin.preprocessors.standardize:Standardize")
