import pytest

from dlcli import PluginError
from dlcli.testing import isolated_plugins

PLUGIN = """
import dlcli

@dlcli.hookimpl
def register(registry):
    registry.add("metric", "constant", "dlcli_lonely:Constant")
"""


def test_entry_points_are_off(monkeypatch):
    def entry_points(group):
        raise AssertionError("entry points were looked at")

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    plugins = isolated_plugins()
    assert {entry.distribution for entry in plugins.registry.entries()} == {"dlcli"}
    assert plugins.records == []


def test_given_modules_are_loaded(tmp_path, monkeypatch):
    (tmp_path / "dlcli_lonely.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    plugins = isolated_plugins("dlcli_lonely")
    assert plugins.registry.find("metric", "constant").label == "dlcli-lonely:constant"
    assert [(record.distribution, record.version) for record in plugins.records] == [("dlcli-lonely", "0")]


def test_a_broken_module_is_an_error():
    with pytest.raises(PluginError, match="the plugin module no_such_plugin cannot be loaded: ModuleNotFoundError"):
        isolated_plugins("no_such_plugin")
