import sys
from types import ModuleType

import pytest

from dlcli.registry import Entry
from dlcli.testing import isolated_plugins
from dlcli.testing.law import Case


@pytest.fixture
def case_of(monkeypatch):
    """Register a class that a test defines, and return it as a case of the battery."""

    def make(cls):
        module = ModuleType("dlcli_broken")
        setattr(module, cls.__name__, cls)
        monkeypatch.setitem(sys.modules, "dlcli_broken", module)
        registry = isolated_plugins().registry
        registry.extend([Entry(cls.kind, cls.name, f"dlcli_broken:{cls.__name__}", "dlcli-broken")])
        return Case(registry, cls.kind, f"dlcli-broken:{cls.name}")

    return make
