import sys
import types

import pytest

from dlcli import hookimpl, plugins
from dlcli.errors import PluginError
from dlcli.plugins import Observers, PluginRecord, empty, load_plugins


@pytest.fixture
def plugin(monkeypatch):
    """Make an importable plugin module from hook functions."""

    def make(module_name, **hooks):
        module = types.ModuleType(module_name)
        for name, function in hooks.items():
            setattr(module, name, hookimpl(function))
        monkeypatch.setitem(sys.modules, module_name, module)
        return module

    return make


def load(loaded, module, **others):
    return loaded.load(module, **{"name": module, "distribution": f"dist-{module}", "version": "1.2", **others})


def registers(*names, kind="activation"):
    def register(registry):
        for name in names:
            registry.add(kind, name, f"somewhere:{name.title()}")

    return register


def test_a_plugin_registers_its_components(plugin):
    plugin("waves", register=registers("wave", "ripple"))
    loaded = empty()
    record = load(loaded, "waves")
    assert record == PluginRecord("waves", "waves", "dist-waves", "1.2", record.seconds, None, 2)
    assert str(record) == "dist-waves 1.2 (waves): ok"
    assert record.seconds >= 0
    assert [entry.label for entry in loaded.registry.entries()] == ["dist-waves:ripple", "dist-waves:wave"]
    assert loaded.broken == []
    assert loaded.version("dist-waves") == "1.2"


def test_each_plugin_is_asked_once(plugin):
    asked = []
    for name in ("first", "second", "third"):
        plugin(name, register=lambda registry, name=name: asked.append((name, registry.distribution)))
    loaded = empty()
    for name in ("first", "second", "third"):
        load(loaded, name)
    assert asked == [("first", "dist-first"), ("second", "dist-second"), ("third", "dist-third")]


def stops_half_way(registry):
    registry.add("activation", "half", "somewhere:Half")
    raise KeyError("moon")


def leaves(registry):
    raise SystemExit("bye")


def misnamed(registry):
    registry.add("activation", "Wave", "somewhere:Wave")


BROKEN = [
    ({"register": stops_half_way}, "KeyError: 'moon'"),
    ({"register": leaves}, "SystemExit: bye"),
    ({"register": misnamed}, "PluginError: dist-broken registers the activation 'Wave'; names are snake_case"),
    (
        {"register": registers("ok"), "run_strated": lambda run: None},
        "PluginValidationError: unknown hook 'run_strated'",
    ),
    ({"register": registers("ok"), "run_started": lambda ruin: None}, "hook 'run_started'"),
    ({"register": lambda registy: None}, "hook 'register'"),
]


@pytest.mark.parametrize(("hooks", "cause"), BROKEN)
def test_a_broken_plugin_is_named_and_leaves_nothing_behind(plugin, hooks, cause):
    plugin("before", register=registers("early"))
    broken = plugin("broken", run_finished=lambda run, summary: None, **hooks)
    plugin("after", register=registers("late"))
    loaded = empty()
    load(loaded, "before")
    record = load(loaded, "broken")
    assert cause in record.cause
    assert record.components == 0
    assert load(loaded, "after").cause is None
    assert [entry.name for entry in loaded.registry.entries()] == ["early", "late"]
    assert not loaded.manager.is_registered(broken)
    assert loaded.manager.hook.run_finished.get_hookimpls() == []
    assert loaded.broken == [record]
    with pytest.raises(PluginError, match="a plugin that may have had it is broken: dist-broken 1.2"):
        loaded.registry.find("activation", "ok")


def test_a_plugin_that_does_not_import(tmp_path, monkeypatch):
    (tmp_path / "leaky.py").write_text("import moon_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    loaded = empty()
    record = load(loaded, "leaky")
    assert record.cause == "ModuleNotFoundError: No module named 'moon_that_is_not_there'"
    assert load(loaded, "nowhere_at_all").cause == "ModuleNotFoundError: No module named 'nowhere_at_all'"
    assert loaded.registry.entries() == []


def test_a_module_named_twice_stays_loaded_once(plugin):
    module = plugin("waves", register=registers("wave"), run_started=lambda run: None)
    loaded = empty()
    load(loaded, "waves")
    record = load(loaded, "waves", name="again")
    assert record.cause == "PluginError: waves is already loaded: two entry points name it"
    assert loaded.manager.is_registered(module)
    assert len(loaded.registry.entries()) == 1
    assert len(loaded.manager.hook.run_started.get_hookimpls()) == 1


def test_two_packages_with_one_name_are_told_apart(plugin):
    plugin("waves", register=registers("wave"))
    plugin("tides", register=registers("wave"))
    loaded = empty()
    load(loaded, "waves")
    load(loaded, "tides")
    with pytest.raises(PluginError, match="2 packages provide .* 'wave': write 'dist-tides:wave' or 'dist-waves:wave'"):
        loaded.registry.find("activation", "wave")
    assert loaded.registry.find("activation", "dist-tides:wave").distribution == "dist-tides"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Two packages on the path with entry points, as an installer leaves them: one good, one that does not import."""
    for distribution, body in {
        "dlcli-alga": "from dlcli import hookimpl\n\n\n@hookimpl\ndef register(registry):\n"
        "    registry.add('activation', 'alga', 'dlcli_alga:Alga')\n",
        "dlcli-wreck": "raise RuntimeError('sunk')\n",
    }.items():
        module = distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(body)
        info = tmp_path / f"{module}-3.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 3.1\n")
        (info / "entry_points.txt").write_text(f"[dlcli]\n{module}_point = {module}\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("dlcli_alga", None)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("", []),
        ("dlcli-alga", ["dlcli-alga"]),
        ("dlcli_wreck_point", ["dlcli-wreck"]),
        ("dlcli_wreck_point, dlcli-alga", ["dlcli-alga", "dlcli-wreck"]),
        ("dlcli-nothing", []),
    ],
)
@pytest.mark.usefixtures("installed")
def test_dlcli_plugins_names_those_that_are_loaded(monkeypatch, wanted, found):
    monkeypatch.setenv("DLCLI_PLUGINS", wanted)
    assert [record.distribution for record in plugins.load_entry_points(empty()).records] == found


@pytest.mark.usefixtures("installed")
def test_without_it_all_are_loaded_and_a_broken_one_stops_none(monkeypatch):
    monkeypatch.delenv("DLCLI_PLUGINS", raising=False)
    loaded = plugins.load_entry_points(empty())
    records = {record.distribution: record for record in loaded.records}
    assert records["dlcli-alga"].cause is None
    assert records["dlcli-wreck"].cause == "RuntimeError: sunk"
    assert str(records["dlcli-wreck"]) == "dlcli-wreck 3.1 (dlcli_wreck): RuntimeError: sunk"
    assert loaded.registry.find("activation", "alga").label == "dlcli-alga:alga"
    assert loaded.version("dlcli-alga") == "3.1"


def test_a_broken_built_in_is_a_fault_of_ours(monkeypatch):
    monkeypatch.setattr(plugins, "BUILTIN", ("dlcli.builtin.nothing",))
    with pytest.raises(RuntimeError, match="built-in dlcli.builtin.nothing is broken: ModuleNotFoundError"):
        load_plugins()


def test_hook_calls_can_be_traced(plugin, monkeypatch, capsys):
    monkeypatch.setenv("DLCLI_TRACE_PLUGINS", "1")
    plugin("waves", register=registers("wave"))
    load(empty(), "waves")
    assert "register" in capsys.readouterr().err


def test_an_observer_that_raises_is_dropped_once_and_the_rest_go_on(plugin):
    heard = []

    def fails(run, member):
        heard.append("bad")
        raise OSError("disk of the tensorboard is full")

    plugin("good", epoch_finished=lambda run, member, record: heard.append((run, member, record)))
    plugin("bad", epoch_finished=fails, run_finished=lambda run, summary: heard.append("never"))
    loaded = empty()
    load(loaded, "good")
    load(loaded, "bad")
    observers = Observers(loaded)

    told = observers.notify("epoch_finished", run="r", member="", record=1)
    expected = (
        "observer dist-bad:bad failed in epoch_finished and is not called again: "
        "OSError: disk of the tensorboard is full"
    )
    assert told == [expected]
    assert observers.notify("epoch_finished", run="r", member="", record=2) == []
    assert observers.notify("run_finished", run="r", summary={}) == []
    assert observers.failures == [expected]
    assert heard.count("bad") == 1
    assert [entry for entry in heard if entry != "bad"] == [("r", "", 1), ("r", "", 2)]


def test_observers_are_called_in_the_order_of_loading(plugin):
    heard = []
    for name in ("first", "second", "third"):
        plugin(name, run_started=lambda run, name=name: heard.append(name))
    loaded = empty()
    for name in ("first", "second", "third"):
        load(loaded, name)
    Observers(loaded).notify("run_started", run="r")
    assert heard == ["first", "second", "third"]
