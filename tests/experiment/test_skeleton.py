import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dlcli.errors import StorageError, UsageError
from dlcli.experiment.skeleton import write_plugin

LIST = """
from dlcli.plugins import load_plugins
plugins = load_plugins()
print([str(record) for record in plugins.records])
print(plugins.registry.resolve("activation", {"name": "audio_layers_gate", "sharpness": 2.0}))
"""


def run(command, package, *paths):
    path = os.pathsep.join(map(str, (package, *paths)))
    environment = {**os.environ, "PYTHONPATH": path, "DLCLI_PLUGINS": "dlcli-audio-layers"}
    return subprocess.run(
        [sys.executable, *command], env=environment, cwd=package, capture_output=True, text=True, check=False
    )


def test_its_own_tests_pass_as_written(tmp_path):
    written = write_plugin("audio-layers", tmp_path)
    package = tmp_path / "dlcli-audio-layers"
    assert sorted(path for path in package.rglob("*") if path.is_file()) == sorted(written)
    done = run(["-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"], package)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert not {"skipped", "failed"} & {*done.stdout.split()}


def test_it_is_found_through_the_entry_point_of_its_pyproject(tmp_path):
    write_plugin("dlcli-audio-layers", tmp_path)
    package = tmp_path / "dlcli-audio-layers"
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    # What an installer would leave beside the package.
    metadata = tmp_path / "site" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    lines = [f"{name} = {module}" for name, module in project["entry-points"]["dlcli"].items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[dlcli]", *lines]))
    (metadata / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    done = run(["-c", LIST], package, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['dlcli-audio-layers 0.1.0 (dlcli_audio_layers): ok']", "sharpness=2.0"]


def test_its_code_is_as_the_linter_wants_it(tmp_path):
    write_plugin("audio-layers", tmp_path)
    rules = "--isolated --line-length 120 --target-version py311 --config lint.pydocstyle.convention='google'"
    command = ["-m", "ruff", "check", *rules.split(), "--select", "E,F,I,UP,B,PT,RET,SIM,D1", "--ignore", "D100,D107"]
    done = run([*command, "dlcli_audio_layers"], tmp_path / "dlcli-audio-layers")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["Waves", "dlcli-", "dlcli_waves", "waves-", "2waves", "../waves", ""])
def test_a_name_of_another_form_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="a plugin is named dlcli-<topic>, lower-case words .*; got"):
        write_plugin(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_exists_is_left_alone(tmp_path):
    (tmp_path / "dlcli-waves").mkdir()
    with pytest.raises(UsageError, match="dlcli-waves exists: choose another name, or move it away; nothing was"):
        write_plugin("waves", tmp_path)
    assert not list((tmp_path / "dlcli-waves").iterdir())


def test_a_place_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write .*dlcli-waves"):
        write_plugin("waves", tmp_path / "file")


def test_the_authors_guide_shows_what_is_written(tmp_path):
    guide = (Path(__file__).parents[2] / "plugins" / "README.md").read_text(encoding="utf-8")
    assert "dlcli plugins new waves\n" in guide
    files = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in write_plugin("waves", tmp_path)}
    assert files["dlcli-waves/tests/test_components.py"] in guide
    lines = [line for line in files["dlcli-waves/dlcli_waves/__init__.py"].splitlines() if "registry.add" in line]
    assert lines
    assert all(line in guide for line in lines)
    project = files["dlcli-waves/pyproject.toml"]
    assert '[project.entry-points.dlcli]\nwaves = "dlcli_waves"\n' in project
    assert '[project.entry-points.dlcli]\nwaves = "dlcli_waves"\n' in guide
    assert 'activation = { name = "waves_gate", sharpness = 2.0 }' in guide
