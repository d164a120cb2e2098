import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PUBLIC = {"dlcli", "dlcli.testing"}
PLUGINS = sorted(path for path in (ROOT / "plugins").rglob("*.py") if "build" not in path.parts)
TESTING = sorted((ROOT / "dlcli" / "testing").rglob("*.py"))


def imported_rooms(path):
    """Return every module of dlcli that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return {name for name in found if name == "dlcli" or name.startswith("dlcli.")}


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: str(path.relative_to(ROOT)))
def test_plugins_import_the_public_surface_alone(path):
    assert imported_rooms(path) <= PUBLIC


@pytest.mark.parametrize("path", TESTING, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_battery_imports_the_public_surface_and_itself_alone(path):
    assert {name for name in imported_rooms(path) if not name.startswith("dlcli.testing")} <= {"dlcli"}


def test_there_are_files_to_look_at():
    assert len(PLUGINS) > 10
    assert len(TESTING) > 10


def test_an_import_of_a_room_would_be_seen(tmp_path):
    path = tmp_path / "plugin.py"
    path.write_text("import torch\n\n\ndef f():\n    from dlcli.training.fit import fit\n    import dlcli.registry\n")
    assert imported_rooms(path) == {"dlcli.training.fit", "dlcli.registry"}
