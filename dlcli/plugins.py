"""Finds and loads plugins one by one, so that a broken one is named and the rest go on."""

import importlib
import importlib.metadata
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pluggy

from dlcli import hookspecs
from dlcli.errors import PluginError
from dlcli.registry import Registrar, Registry

BUILTIN = tuple(
    f"dlcli.builtin.{family}"
    for family in (
        "architectures",
        "activations",
        "normalizations",
        "initializers",
        "preprocessors",
        "input_layers",
        "losses",
        "metrics",
        "regularizers",
        "optimizers",
        "schedules",
        "averagers",
        "searches",
        "ensembles",
        "importers",
        "exporters",
        "observers",
    )
)
GROUP = "dlcli"


@dataclass(frozen=True)
class PluginRecord:
    """What became of one plugin.

    Args:
        name: Name of its entry point.
        module: Its module.
        distribution: The package that it comes from.
        version: That package's version.
        seconds: How long importing and registering took.
        cause: Why it is broken; None where it is not.
        components: How many components it registered.
    """

    name: str
    module: str
    distribution: str
    version: str
    seconds: float
    cause: str | None
    components: int

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} ({self.module}): {self.cause or 'ok'}"


@dataclass
class Plugins:
    """Everything that is loaded.

    Args:
        manager: pluggy's manager.
        registry: The components.
        records: What became of every entry point.
    """

    manager: pluggy.PluginManager
    registry: Registry = field(default_factory=Registry)
    records: list[PluginRecord] = field(default_factory=list)

    def load(self, module: str, *, name: str, distribution: str, version: str) -> PluginRecord:
        """Import a plugin module and call its `register`; leaves nothing behind where that fails.

        Args:
            module: The module to import.
            name: Name of its entry point.
            distribution: The package that it comes from.
            version: That package's version.

        Returns:
            What became of it.
        """
        start = time.perf_counter()
        registrar = Registrar(distribution)
        cause = None
        plugin: Any = None
        try:
            found = importlib.import_module(module)
            if self.manager.is_registered(found):
                raise PluginError(f"{module} is already loaded: two entry points name it")
            plugin = found
            self.manager.register(plugin, name=f"{distribution}:{name}")
            self.manager.check_pending()
            others = [other for other in self.manager.get_plugins() if other is not plugin]
            self.manager.subset_hook_caller("register", others)(registry=registrar)
        except (Exception, SystemExit) as error:
            cause = f"{type(error).__name__}: {error}".splitlines()[0]
            if plugin is not None and self.manager.is_registered(plugin):
                self.manager.unregister(plugin)
        else:
            self.registry.extend(registrar.entries)
        count = 0 if cause else len(registrar.entries)
        record = PluginRecord(name, module, distribution, version, time.perf_counter() - start, cause, count)
        self.records.append(record)
        if cause:
            self.registry.broken.append(str(record))
        return record

    @property
    def broken(self) -> list[PluginRecord]:
        """The plugins that could not be loaded."""
        return [record for record in self.records if record.cause]

    def version(self, distribution: str) -> str:
        """Return the installed version of a package that provides components."""
        versions = {record.distribution: record.version for record in self.records}
        return versions.get(distribution) or importlib.metadata.version(distribution)


def entry_points() -> Iterator[importlib.metadata.EntryPoint]:
    """Return the entry points that may be loaded, sorted by package: `DLCLI_PLUGINS` names them, empty for none."""
    wanted = os.environ.get("DLCLI_PLUGINS")
    if wanted == "":
        return
    names = None if wanted is None else {name.strip() for name in wanted.split(",")}
    found = {(point.dist.name if point.dist else "", point.name): point for point in _group()}
    for (distribution, name), point in sorted(found.items()):
        if names is None or names & {distribution, name}:
            yield point


def _group() -> importlib.metadata.EntryPoints:
    return importlib.metadata.entry_points(group=GROUP)


def empty() -> Plugins:
    """Return plugins with the hooks known and nothing loaded."""
    manager = pluggy.PluginManager("dlcli")
    manager.add_hookspecs(hookspecs)
    if os.environ.get("DLCLI_TRACE_PLUGINS"):
        manager.trace.root.setwriter(lambda text: print(text, end="", file=sys.stderr))
        manager.enable_tracing()
    return Plugins(manager)


def load_entry_points(plugins: Plugins) -> Plugins:
    """Load third parties' plugins one by one.

    Args:
        plugins: What to load them into.

    Returns:
        The same object.
    """
    for point in entry_points():
        distribution, version = (point.dist.name, point.dist.version) if point.dist else ("unknown", "unknown")
        plugins.load(point.module, name=point.name, distribution=distribution, version=version)
    return plugins


def load_plugins(*, third_parties: bool = True) -> Plugins:
    """Load the built-ins, then third parties' plugins.

    Args:
        third_parties: Whether entry points are loaded.

    Returns:
        Everything that is loaded.

    Raises:
        RuntimeError: A built-in is broken: a fault of dlcli.
    """
    plugins = empty()
    for module in BUILTIN:
        name = module.rpartition(".")[2]
        record = plugins.load(module, name=name, distribution="dlcli", version="")
        if record.cause:
            raise RuntimeError(f"built-in {module} is broken: {record.cause}")
    plugins.records.clear()
    return load_entry_points(plugins) if third_parties else plugins


class Observers:
    """Calls the observers' hooks; one that raises is named once and dropped.

    Args:
        plugins: Where the observers are.
    """

    def __init__(self, plugins: Plugins) -> None:
        self._manager = plugins.manager
        self._dropped: set[str] = set()
        self.failures: list[str] = []

    def notify(self, hook: str, **arguments: object) -> list[str]:
        """Call a hook on every observer.

        Args:
            hook: Its name.
            **arguments: Its arguments.

        Returns:
            What to tell the user: a line for every observer that failed just now.
        """
        told = []
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            if implementation.plugin_name in self._dropped:
                continue
            try:
                implementation.function(**{name: arguments[name] for name in implementation.argnames})
            except Exception as error:
                self._dropped.add(implementation.plugin_name)
                told.append(
                    f"observer {implementation.plugin_name} failed in {hook} and is not called again: "
                    f"{type(error).__name__}: {error}"
                )
        self.failures.extend(told)
        return told
