import sys
import types
from typing import ClassVar

import pytest
from pydantic import Field, ValidationError
from torch import nn

from dlcli import Activation, Metric, PerMember, by_name
from dlcli.errors import PluginError
from dlcli.registry import Entry, Registrar, Registry


class Wave(Activation):
    """A sine."""

    name: ClassVar[str] = "wave"
    frequency: PerMember = Field(1.0, gt=0, description="frequency")

    def build(self, width, feature_dim=1):
        return nn.Identity()


class Twice(Activation):
    """One activation after another."""

    name: ClassVar[str] = "twice"
    inner: Activation = by_name("wave", frequency=2.0)

    def build(self, width, feature_dim=1):
        return self.inner.build(width)


class OtherWave(Wave):
    """Somebody else's wave."""


class Misnamed(Wave):
    """Registered under another name than its own."""

    name: ClassVar[str] = "particle"


@pytest.fixture(autouse=True)
def surf(monkeypatch):
    """An importable module `surf` that holds the classes above."""
    module = types.ModuleType("surf")
    for component in (Wave, Twice, OtherWave, Misnamed):
        monkeypatch.setattr(component, "__module__", "surf")
        setattr(module, component.__name__, component)
    module.number = 3
    monkeypatch.setitem(sys.modules, "surf", module)


@pytest.fixture
def registry():
    registry = Registry()
    registry.extend(
        [Entry("activation", "wave", "surf:Wave", "surf"), Entry("activation", "twice", "surf:Twice", "surf")]
    )
    return registry


def test_entries_are_sorted_and_filtered(registry):
    registry.extend([Entry("architecture", "wave", "surf:Net", "surf"), Entry("activation", "wave", "x:Y", "aqua")])
    labels = [f"{entry.kind} {entry.label}" for entry in registry.entries()]
    assert labels == ["architecture surf:wave", "activation surf:twice", "activation aqua:wave", "activation surf:wave"]
    assert [entry.label for entry in registry.entries("architecture")] == ["surf:wave"]


def test_create_resolve_and_dump_agree(registry):
    twice = registry.create("activation", "twice")
    assert twice.inner == registry.create("activation", "wave", frequency=2.0)
    table = {"name": "surf:twice", "inner": {"name": "surf:wave", "frequency": 2.0}}
    assert registry.dump(twice) == table
    assert registry.resolve("activation", table) == twice
    assert registry.resolve("activation", "surf:wave") == Wave()
    assert registry.component(Activation, {"name": "wave", "frequency": 5.0}) == Wave(frequency=5.0)


def test_a_component_made_in_python_is_dumped_too(registry):
    assert registry.dump(Twice(inner=Wave())) == {
        "name": "surf:twice",
        "inner": {"name": "surf:wave", "frequency": 1.0},
    }


def test_dump_of_an_unregistered_class(registry):
    with pytest.raises(
        PluginError, match="surf:Misnamed is not registered: add it in the `register` hook of its package"
    ):
        registry.dump(Misnamed())


def test_two_providers_of_a_name(registry):
    registry.extend([Entry("activation", "wave", "surf:OtherWave", "aqua")])
    with pytest.raises(PluginError, match="2 packages provide an? activation 'wave': write 'aqua:wave' or 'surf:wave'"):
        registry.create("activation", "wave")
    assert type(registry.create("activation", "aqua:wave")) is OtherWave
    assert type(registry.create("activation", "surf:wave")) is Wave
    assert registry.dump(registry.create("activation", "aqua:wave"))["name"] == "aqua:wave"


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("activation", "wvae", r"unknown activation 'wvae'; did you mean 'wave'\?; there are twice, wave$"),
        ("activation", "surf:wvae", r"unknown activation 'surf:wvae'; did you mean 'wave'\?"),
        ("activation", "quark", "unknown activation 'quark'; there are twice, wave$"),
        (
            "loss",
            "wave",
            "unknown loss 'wave'; 'wave' is the name of a.* activation, but here a loss is wanted; there are none",
        ),
        ("activation", "snake", "it comes with the package dlcli-example: pip install dlcli-example"),
        ("activation", "surfs:wave", r"unknown activation 'surfs:wave'; surf is installed: did you mean surf:wave\?"),
        ("activation", "surfs:ebb", "unknown activation 'surfs:ebb'; the package surfs is not installed; there are"),
        ("activation", "surf:ebb", "unknown activation 'surf:ebb'; there are twice, wave$"),
        (
            "activation",
            "dlcli-surf:ebb",
            "'dlcli-surf:ebb'; it comes with the package dlcli-surf: pip install dlcli-surf; there are twice, wave$",
        ),
        ("activation", "tides:ebb", "the package tides is not installed; there are twice, wave"),
        (
            "activation",
            "builtins.eval",
            r"'builtins\.eval' cannot be the name of an activation: .*nothing is imported by",
        ),
        ("activation", "os.path:join.x", r"'os\.path:join\.x' cannot be the name of an activation"),
        ("activation", "../../x", r"'\.\./\.\./x' cannot be the name"),
        ("activation", "a\0b\x1b[31m", r"'a\\x00b\\x1b\[31m' cannot be the name"),
        ("activation", "x" * 10**7, r"^'x{120}' cannot be the name"),
    ],
)
def test_unknown_names(registry, kind, name, message):
    with pytest.raises(PluginError, match=message):
        registry.find(kind, name)


def test_an_unknown_name_tells_of_broken_plugins(registry):
    registry.broken.append("tides 1.0 (tides): ImportError: no moon")
    with pytest.raises(
        PluginError, match=r"a plugin that may have had it is broken: tides 1.0 \(tides\): ImportError: no moon"
    ):
        registry.find("activation", "ebb")


def test_in_a_recipe_an_unknown_name_is_a_validation_error_with_a_path(registry):
    with pytest.raises(ValidationError) as caught:
        registry.create("activation", "twice", inner="wvae")
    (error,) = caught.value.errors()
    assert error["loc"] == ("inner",)
    assert "did you mean 'wave'?" in error["msg"]


@pytest.mark.parametrize("value", [{}, {"frequency": 2.0}, {"name": 3}, 3])
def test_a_table_needs_a_name(registry, value):
    with pytest.raises(ValueError, match=r'a table for an? activation needs its name, such as \{ name = "…" \}'):
        registry.resolve("activation", value)


@pytest.mark.parametrize(
    ("target", "kind", "name", "message"),
    [
        ("surf:Gone", "activation", "wave", "activation 'surf:wave' cannot be loaded from surf:Gone: AttributeError"),
        ("sand:Wave", "activation", "wave", "ModuleNotFoundError: No module named 'sand'; mend or reinstall surf"),
        ("surf:Wave", "metric", "wave", "surf:Wave of surf is registered as metric but is not one"),
        ("surf:number", "activation", "wave", "surf:number of surf is registered as activation but is not one"),
        (
            "surf:Misnamed",
            "activation",
            "wave",
            "as 'wave', but its class attribute `name` is 'particle': make them equal",
        ),
    ],
)
def test_a_class_that_is_not_what_it_was_registered_as(target, kind, name, message):
    with pytest.raises(PluginError, match=message):
        Entry(kind, name, target, "surf").load()


def test_fields_of_a_type_that_cannot_be_read_are_the_packages_fault():
    class Torn(Wave):
        """Its field's type is nowhere."""

        name: ClassVar[str] = "torn"
        tide: "Moon"  # noqa: F821

    sys.modules["surf"].Torn = Torn
    Torn.__module__ = "surf"
    registry = Registry()
    registry.extend([Entry("activation", "torn", "surf:Torn", "surf")])
    with pytest.raises(PluginError, match="'surf:torn' has a field that cannot be read: .*mend or reinstall"):
        registry.create("activation", "torn")


def test_nothing_is_imported_before_it_is_needed(monkeypatch):
    monkeypatch.delitem(sys.modules, "surf")
    registry = Registry()
    registry.extend([Entry("activation", "wave", "surf:Wave", "surf")])
    assert registry.find("activation", "wave").target == "surf:Wave"
    with pytest.raises(PluginError, match="No module named 'surf'"):
        registry.create("activation", "wave")


def test_the_registrar_takes_good_names():
    registrar = Registrar("surf")
    registrar.add("activation", "wave_2", "surf.waves:Wave2")
    registrar.add("metric", "wave_2", "surf:Metric")
    assert registrar.entries == [
        Entry("activation", "wave_2", "surf.waves:Wave2", "surf"),
        Entry(Metric.kind, "wave_2", "surf:Metric", "surf"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("colour", "wave", "surf:Wave"), "surf registers 'wave' as 'colour'; kinds are architecture, activation"),
        (("activation", "Wave", "surf:Wave"), "surf registers the activation 'Wave'; names are snake_case"),
        (("activation", "2wave", "surf:Wave"), "names are snake_case"),
        (("activation", "wave:x", "surf:Wave"), "names are snake_case"),
        (("activation", "wave", "surf.Wave"), "surf registers 'wave' at 'surf.Wave'; expected module:Class"),
        (("activation", "twice", "surf:Twice"), "surf registers the activation 'twice' twice"),
    ],
)
def test_the_registrar_refuses(arguments, message):
    registrar = Registrar("surf")
    registrar.add("activation", "twice", "surf:Twice")
    with pytest.raises(PluginError, match=message):
        registrar.add(*arguments)
    assert len(registrar.entries) == 1
