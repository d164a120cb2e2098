import pytest

from dlcli.experiment import doctor as doctor_room
from dlcli.experiment.doctor import doctor
from dlcli.plugins import empty

SOUND = """
import dlcli
print("a plugin that talks while it loads")

@dlcli.hookimpl
def register(registry):
    registry.add("activation", "relu_again", "dlcli.builtin.activations.relu:ReLU")

@dlcli.hookimpl
def run_started(run):
    pass
"""


@pytest.fixture
def examine(tmp_path, monkeypatch):
    """Write a plugin module, load it, and return what the doctor says."""
    monkeypatch.syspath_prepend(tmp_path)

    def examined(module, source):
        (tmp_path / f"{module}.py").write_text(source)
        plugins = empty()
        plugins.load(module, name="it", distribution=module.replace("_", "-"), version="1.2")
        (health,) = doctor(plugins)
        assert (health.name, health.module, health.version) == ("it", module, "1.2")
        return health

    return examined


def test_a_sound_plugin(examine):
    health = examine("dlcli_sound_a", SOUND.replace("relu_again", "relu"))
    assert health.healthy
    assert health.as_json()["healthy"] is True
    assert health.hooks == ("register", "run_started")
    assert health.components == 1
    assert 0 < health.seconds < 30
    assert (health.cause, health.imports, health.faults) == (None, (), ())


def test_a_plugin_that_imports_torch(examine):
    health = examine("dlcli_heavy_a", "import torch\n")
    assert "torch" in health.imports
    assert not health.healthy


def test_a_component_whose_class_has_another_name(examine):
    health = examine("dlcli_misnamed_a", SOUND)
    assert health.cause is None
    assert not health.healthy
    assert "registered as 'relu_again', but its class attribute `name` is 'relu'" in health.faults[0]


def test_a_broken_plugin_says_why(examine):
    health = examine("dlcli_torn_a", "import no_such_module\n")
    assert health.cause == "ModuleNotFoundError: No module named 'no_such_module'"
    assert (health.components, health.hooks, health.healthy) == (0, (), False)


def test_a_misspelt_hook_is_a_cause(examine):
    health = examine("dlcli_misspelt_a", "import dlcli\n\n@dlcli.hookimpl\ndef run_startet(run):\n    pass\n")
    assert "run_startet" in health.cause


def test_a_plugin_that_ends_the_process(examine, monkeypatch):
    source = "import os, sys\nif 'plugin_probe' in sys.argv[0]:\n    print('gone', file=sys.stderr)\n    os._exit(7)\n"
    health = examine("dlcli_leaving_a", source)
    assert health.cause == "loading it ends the process with exit code 7: gone"


def test_a_plugin_that_never_loads(examine, monkeypatch):
    monkeypatch.setattr(doctor_room, "PROBE_SECONDS", 2)
    source = "import sys, time\nif 'plugin_probe' in sys.argv[0]:\n    time.sleep(60)\n"
    health = examine("dlcli_sleeping_a", source)
    assert health.cause == "loading it does not end within 2 s"


def test_nothing_installed_is_nothing_to_examine():
    assert doctor(empty()) == []
