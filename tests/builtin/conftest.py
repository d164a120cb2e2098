import pytest

from dlcli import KINDS
from dlcli.plugins import BUILTIN, empty
from dlcli.registry import Registry


@pytest.fixture(scope="session")
def registry() -> Registry:
    plugins = empty()
    families = [
        module
        for module in BUILTIN
        if module.rpartition(".")[2].rstrip("s") in KINDS or module.endswith(("losses", "searches"))
    ]
    for module in families:
        record = plugins.load(module, name=module, distribution="dlcli", version="0")
        assert record.cause is None, record
    return plugins.registry
