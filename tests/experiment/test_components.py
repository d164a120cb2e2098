import tomllib

import pytest

from dlcli.errors import PluginError, UsageError
from dlcli.experiment.components import list_components, show_component
from dlcli.recipe.model import Recipe
from dlcli.registry import Entry
from dlcli.testing import isolated_plugins

BASE = {"name": "base", "data": {"path": "digits.h5"}, "model": {"architecture": "mlp"}}


@pytest.fixture(scope="module")
def builtins():
    return isolated_plugins()


@pytest.fixture
def plugins():
    return isolated_plugins()


def entries():
    """All components that recipes name."""
    found = [entry for entry in isolated_plugins().registry.entries() if entry.kind not in ("importer", "exporter")]
    return [pytest.param(entry, id=f"{entry.kind}-{entry.name}") for entry in found]


def test_every_component_is_listed_with_its_provider_and_first_line(builtins):
    rows = list_components(builtins)
    assert len(rows) == len(builtins.registry.entries())
    row = next(row for row in rows if row.name == "relu")
    assert (row.kind, row.distribution, row.version) == ("activation", "dlcli", builtins.version("dlcli"))
    assert row.as_json()["summary"] == row.summary
    assert all(row.summary and "\n" not in row.summary for row in rows)


def test_a_component_that_cannot_be_imported_is_listed_with_the_cause(plugins):
    plugins.registry.extend([Entry("metric", "absent", "dlcli_absent:Absent", "dlcli")])
    row = next(row for row in list_components(plugins) if row.name == "absent")
    assert "cannot be loaded from dlcli_absent:Absent: ModuleNotFoundError" in row.summary


def test_a_page_has_the_parameters_with_range_default_and_use(builtins):
    page = show_component(builtins, "mlp")
    assert (page.kind, page.name, page.distribution) == ("architecture", "mlp", "dlcli")
    assert page.documentation.startswith("Multilayer perceptron")
    hidden, activation, _, dropout = page.parameters[:4]
    assert (hidden.name, hidden.allowed, hidden.default) == ("hidden", "a list, each a whole number ≥ 1", [128, 128])
    assert (hidden.description, hidden.per_member) == ("widths of the hidden layers", False)
    assert activation.description == "any activation that is installed"
    assert activation.default == {"name": "relu"}
    assert (dropout.allowed, dropout.default, dropout.per_member) == ("a number ≥ 0 and < 1", 0.0, True)
    assert page.as_json()["parameters"][0]["name"] == "hidden"


@pytest.mark.parametrize("entry", entries())
def test_every_snippet_is_part_of_a_recipe_that_loads(builtins, entry):
    page = show_component(builtins, entry.label, entry.kind)
    table = tomllib.loads(page.snippet)
    recipe = {**BASE, **table, "data": {**BASE["data"], **table.get("data", {})}}
    loaded = Recipe.model_validate(recipe, context={"registry": builtins.registry})
    expected = builtins.registry.create(entry.kind, entry.name)
    held = {
        "architecture": lambda r: r.model.architecture,
        "activation": lambda r: r.model.architecture.activation,
        "normalization": lambda r: r.model.architecture.norm,
        "initializer": lambda r: r.model.init,
        "preprocessor": lambda r: r.data.preprocess[0],
        "input_layer": lambda r: r.model.inputs[0],
        "loss": lambda r: r.train.loss,
        "metric": lambda r: r.train.metrics[0],
        "regularizer": lambda r: r.regularizers[0].component,
        "optimizer": lambda r: r.train.optimizer,
        "schedule": lambda r: r.train.schedule,
        "search": lambda r: r.tune.method,
        "averager": lambda r: r.train.averager,
        "ensemble": lambda r: r.ensemble.strategy,
    }
    assert held[entry.kind](loaded) == expected


@pytest.mark.parametrize(
    ("kind", "command"), [("importer", "predict RUN DATA"), ("exporter", "export RUN --format tape")]
)
def test_what_no_recipe_names_is_shown_as_a_command(plugins, tmp_path, monkeypatch, kind, command):
    (tmp_path / "dlcli_format.py").write_text(
        f"from typing import ClassVar\nfrom dlcli import {kind.title()}\n\n\n"
        f"class Format({kind.title()}):\n    '''A format.'''\n    name: ClassVar[str] = 'tape'\n"
        "    def fields(self, source): ...\n    def chunks(self, source): ...\n"
        "    def write(self, model, inputs, path, metadata): ...\n    def open(self, path): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "dlcli_format", raising=False)
    plugins.registry.extend([Entry(kind, "tape", "dlcli_format:Format", "dlcli")])
    assert show_component(plugins, "tape").snippet == f"# dlcli {command}\n"


def test_a_name_of_two_kinds_asks_for_the_kind(plugins):
    plugins.registry.extend([Entry("loss", "relu", "dlcli.builtin.losses.mse:MeanSquaredError", "dlcli-other")])
    match = "'relu' is the name of an activation and a loss: add --kind activation or --kind loss"
    with pytest.raises(UsageError, match=match):
        show_component(plugins, "relu")
    assert show_component(plugins, "relu", "activation").kind == "activation"


def test_a_name_of_two_packages_asks_for_the_package(plugins):
    target = "dlcli.builtin.activations.relu:ReLU"
    plugins.registry.extend([Entry("activation", "relu", target, "dlcli-other")])
    with pytest.raises(PluginError, match="2 packages provide an activation 'relu': write 'dlcli:relu' or 'dlcli-oth"):
        show_component(plugins, "relu")
    page = show_component(plugins, "dlcli:relu")
    assert page.distribution == "dlcli"
    assert 'activation = "dlcli:relu"' in page.snippet


def test_an_unknown_name_is_an_error_that_helps(builtins):
    with pytest.raises(PluginError, match="unknown component 'rellu'; did you mean 'relu'.; `dlcli plugins list`"):
        show_component(builtins, "rellu")
    with pytest.raises(PluginError, match="it comes with the package dlcli-example: pip install dlcli-example"):
        show_component(builtins, "top_two")
    with pytest.raises(PluginError, match="unknown loss 'relu'; 'relu' is the name of an activation"):
        show_component(builtins, "relu", "loss")
    with pytest.raises(UsageError, match="unknown kind 'layer'; kinds are architecture, activation"):
        show_component(builtins, "relu", "layer")


def test_a_broken_plugin_is_named_beside_an_unknown_component(plugins):
    plugins.load("dlcli_torn", name="torn", distribution="dlcli-torn", version="1.0")
    with pytest.raises(PluginError, match="a plugin that may have had it is broken: dlcli-torn 1.0"):
        show_component(plugins, "tearing")


def test_a_component_without_defaults_says_so(plugins, tmp_path, monkeypatch):
    (tmp_path / "dlcli_needy.py").write_text(
        "from typing import ClassVar\nfrom dlcli import Activation\n\n\n"
        "class Needy(Activation):\n    '''Needs a number.'''\n    name: ClassVar[str] = 'needy'\n    slope: float\n"
        "    def build(self, width, feature_dim=1): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    plugins.registry.extend([Entry("activation", "needy", "dlcli_needy:Needy", "dlcli")])
    with pytest.raises(PluginError, match="activation 'dlcli:needy' cannot be made from its defaults: (?s:.*)slope"):
        show_component(plugins, "needy")
