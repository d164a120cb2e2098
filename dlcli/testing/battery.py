"""The battery: a pytest class that puts every component of a package to every law of its kind."""

import os
import subprocess
import sys
from typing import Any, ClassVar

from dlcli import PluginError, Plugins
from dlcli.testing.isolation import isolated_plugins
from dlcli.testing.law import Case, Law
from dlcli.testing.laws import LAWS
from dlcli.testing.laws.every import builds_from_defaults

HEAVY = ("torch", "h5py", "numpy", "optuna", "pandas", "matplotlib")
"""What loading a plugin may not import: `dlcli --help` loads every plugin."""
_LOAD = """
import sys
import dlcli
plugins = dlcli.load_plugins(third_parties=False)
for module in sys.argv[1:]:
    record = plugins.load(module, name=module, distribution=module, version="0")
    assert record.cause is None, record
print(*sys.modules)
"""


class Battery:
    """Puts every component of a package to every law; subclass it in the package's tests.

    Example::

        class TestComponents(dlcli.testing.Battery):
            distribution = "dlcli-example"

    Every component and law is a test of its own, so that `-k snake` picks a component and `-k gradients` a law. A law
    that does not bind a component makes no test.

    Class attributes: `distribution`, the package whose components are tested, `dlcli` for the built-ins; `module`, its
    plugin module as its entry point names it, by default the distribution's name with underscores.
    """

    distribution: ClassVar[str]
    module: ClassVar[str | None] = None

    @classmethod
    def modules(cls) -> tuple[str, ...]:
        """Return the plugin modules under test; empty for the built-ins."""
        if cls.distribution == "dlcli":
            return ()
        return (cls.module or cls.distribution.replace("-", "_"),)

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Make one test for each component and each law that binds it."""
        if "law" in metafunc.fixturenames:
            pairs = bound(isolated_plugins(*self.modules()), self.distribution)
            ids = [f"{case.kind}-{case.label.partition(':')[2]}-{law.name}" for law, case in pairs]
            metafunc.parametrize(("law", "case"), pairs, ids=ids)

    def test_law(self, law: Law, case: Case) -> None:
        """A component holds a law."""
        law(case)

    def test_loading_imports_nothing_heavy(self) -> None:
        """Loading the plugin and registering its components leaves torch and the like unimported."""
        assert_light(*self.modules())


def bound(plugins: Plugins, distribution: str) -> list[tuple[Law, Case]]:
    """Return each component of a package with each law that binds it.

    Args:
        plugins: What is loaded.
        distribution: The package.

    Returns:
        Laws and components; for a component that cannot be made, only the law that says why.

    Raises:
        PluginError: The package registers no component.
    """
    pairs = []
    for entry in plugins.registry.entries():
        if entry.distribution == distribution:
            case = Case(plugins.registry, entry.kind, entry.label)
            try:
                component = case.component
            except Exception:  # whatever it is, `builds_from_defaults` raises it again in a test of its own
                pairs.append((Law(builds_from_defaults), case))
            else:
                pairs.extend((law, case) for law in LAWS if law.binds(component))
    if not pairs:
        providers = sorted({entry.distribution for entry in plugins.registry.entries()})
        raise PluginError(f"no component of {distribution!r} is registered; there are those of {', '.join(providers)}")
    return pairs


def assert_light(*modules: str) -> None:
    """Fail where loading plugin modules, in a fresh process, imports one of `HEAVY`.

    Args:
        *modules: The plugin modules; the built-ins are loaded too.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", _LOAD, *modules]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"loading {', '.join(modules)} fails in a fresh process:\n{done.stderr}"
    imported = sorted({*HEAVY} & {*done.stdout.split()})
    assert not imported, (
        f"loading {', '.join(modules) or 'the built-ins'} imports {', '.join(imported)}: name components as "
        '"module:Class", and import what hooks need inside them'
    )
