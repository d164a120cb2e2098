"""Plugins without those that happen to be installed."""

import importlib.metadata

from dlcli import PluginError, Plugins, load_plugins


def isolated_plugins(*modules: str) -> Plugins:
    """Load the built-ins and the given plugin modules, and nothing else: entry points are not looked at.

    Args:
        *modules: Modules with hooks, such as `dlcli_example`; each is taken for the distribution of its name, with
            dashes for underscores, as its installed version or, where it is not installed, as version 0.

    Returns:
        What is loaded.

    Raises:
        PluginError: A module cannot be loaded; says why.
    """
    plugins = load_plugins(third_parties=False)
    for module in modules:
        distribution = module.partition(".")[0].replace("_", "-")
        try:
            version = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            version = "0"
        record = plugins.load(module, name=module, distribution=distribution, version=version)
        if record.cause:
            raise PluginError(f"the plugin module {module} cannot be loaded: {record.cause}")
    return plugins
