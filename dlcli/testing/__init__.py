"""For the tests of plugins: the battery that every component must pass, tiny datasets, plugins in isolation."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlcli.testing.battery import Battery as Battery
    from dlcli.testing.examples import sample_inputs as sample_inputs
    from dlcli.testing.examples import standard_io as standard_io
    from dlcli.testing.isolation import isolated_plugins as isolated_plugins
    from dlcli.testing.tiny import tiny_dataset as tiny_dataset

_MODULES = {
    "Battery": "battery",
    "isolated_plugins": "isolation",
    "sample_inputs": "examples",
    "standard_io": "examples",
    "tiny_dataset": "tiny",
}
__all__ = sorted(_MODULES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'dlcli.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(f"dlcli.testing.{_MODULES[name]}"), name)
