"""Loads one plugin in a process of its own and prints what happened: `python -m dlcli.experiment.plugin_probe`."""

import json
import sys
import time

from dlcli.errors import PluginError
from dlcli.plugins import empty

HEAVY = ("torch", "numpy", "h5py", "optuna", "pandas", "matplotlib")
"""What a plugin should import only when one of its components is used."""


def probe(module: str, distribution: str) -> dict[str, object]:
    """Load a plugin, then each of its components.

    Args:
        module: Its module.
        distribution: The package that it comes from.

    Returns:
        JSON-ready: `seconds` of loading, `cause` where that failed, what of `HEAVY` it `imports`, the `hooks` that it
        implements, how many `components` it registered, and the `faults` of those that cannot be imported.
    """
    plugins = empty()
    before = {*sys.modules}
    start = time.perf_counter()
    record = plugins.load(module, name=module, distribution=distribution, version="")
    seconds = time.perf_counter() - start
    imports = [name for name in HEAVY if name in sys.modules and name not in before]
    faults = []
    for entry in plugins.registry.entries():
        try:
            plugins.registry.load(entry)
        except PluginError as error:
            faults.append(str(error))
    return {
        "seconds": seconds,
        "cause": record.cause,
        "imports": imports,
        "hooks": sorted(
            caller.name
            for plugin in plugins.manager.get_plugins()
            for caller in plugins.manager.get_hookcallers(plugin) or ()
        ),
        "components": record.components,
        "faults": faults,
    }


if __name__ == "__main__":
    print("\n" + json.dumps(probe(*sys.argv[1:])))
