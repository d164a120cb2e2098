import os
import subprocess
import sys

import pytest

from dlcli import PluginError
from dlcli.testing import Battery, isolated_plugins
from dlcli.testing.battery import assert_light, bound

PLUGIN = """
import dlcli

@dlcli.hookimpl
def register(registry):
    registry.add("activation", "steep", "dlcli_mixed.steep:Steep")
    registry.add("activation", "absent", "dlcli_mixed.absent:Absent")
    registry.add("metric", "constant", "dlcli_mixed.constant:Constant")
"""
STEEP = '''
from typing import ClassVar
import torch
from pydantic import Field
from torch import nn
from dlcli import Activation

class Power(nn.Module):
    def forward(self, x):
        return x.exp().exp()

class Steep(Activation):
    """Grows too fast."""

    name: ClassVar[str] = "steep"
    formula: ClassVar[str] = "exp(exp(x))"
    gradient: ClassVar[str] = "exp(exp(x)) exp(x)"
    output_range: ClassVar[str] = "(1, inf)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "x < 0"

    def build(self, width, feature_dim=1):
        return Power()
'''
TESTS = """
from dlcli.testing import Battery

class TestComponents(Battery):
    distribution = "dlcli-mixed"
"""


@pytest.fixture
def mixed(tmp_path, monkeypatch):
    """A package with a component that breaks one law, one that is not there, and one that cannot be made."""
    package = tmp_path / "dlcli_mixed"
    package.mkdir()
    (package / "__init__.py").write_text(PLUGIN)
    (package / "steep.py").write_text(STEEP)
    (package / "constant.py").write_text("raise ImportError('no module for constants')")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_each_component_and_law_is_a_test_that_can_fail(mixed):
    (mixed / "test_mixed.py").write_text(TESTS)
    environment = {**os.environ, "PYTHONPATH": str(mixed)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "--rootdir", str(mixed), str(mixed)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=mixed)
    results = dict(reversed(line.split(" ")[:2]) for line in done.stdout.splitlines() if "::" in line and "ED " in line)
    failed = {name.partition("[")[2].rstrip("]") for name, result in results.items() if result == "FAILED"}
    assert failed == {
        "activation-steep-is_finite_far_out",
        "activation-absent-builds_from_defaults",
        "metric-constant-builds_from_defaults",
    }, done.stdout
    assert set(results.values()) == {"PASSED", "FAILED"}
    assert "test_mixed.py::TestComponents::test_loading_imports_nothing_heavy" in results
    assert "no module for constants" in done.stdout
    assert done.returncode == 1


def test_only_laws_that_bind_are_paired():
    pairs = bound(isolated_plugins(), "dlcli")
    kinds = {case.kind for _, case in pairs}
    assert {"architecture", "activation", "loss", "metric", "regularizer", "optimizer"} <= kinds
    assert all(case.kind in law.kinds for law, case in pairs)
    stop = {case.label for law, case in pairs if law.name == "stops_by_the_history_alone"}
    assert stop == {"dlcli:early_stopping", "dlcli:gap_stopping"}


def test_a_package_without_components_is_an_error():
    with pytest.raises(PluginError, match="no component of 'dlcli-none' is registered; there are those of dlcli"):
        bound(isolated_plugins(), "dlcli-none")


def test_the_module_is_that_of_the_distribution_unless_it_is_given():
    class Named(Battery):
        distribution = "dlcli-my-topic"

    class Other(Battery):
        distribution = "my-topic"
        module = "topic.plugin"

    assert Named.modules() == ("dlcli_my_topic",)
    assert Other.modules() == ("topic.plugin",)


def test_a_plugin_that_imports_torch_is_heavy(tmp_path, monkeypatch):
    (tmp_path / "dlcli_heavy.py").write_text("import torch\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AssertionError, match="loading dlcli_heavy imports numpy, torch: name components as"):
        assert_light("dlcli_heavy")


def test_a_plugin_that_does_not_load_says_so(tmp_path, monkeypatch):
    (tmp_path / "dlcli_torn.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AssertionError, match="(?s)loading dlcli_torn fails in a fresh process.*no_such_module"):
        assert_light("dlcli_torn")
