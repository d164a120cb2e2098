"""House rules that a linter does not know."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dlcli

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "dlcli").rglob("*.py"))


def imported(path):
    """Top-level names and full names of what a file imports, type-checking blocks included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_room_is_over_300_lines(path):
    assert len(path.read_text().splitlines()) <= 300


def test_no_room_is_called_utils():
    assert not [path for path in MODULES if path.stem in {"utils", "util", "helpers", "common", "misc"}]


def test_no_merge_left_its_marks():
    rooms = [ROOT / room for room in ("dlcli", "docs", "plugins", "recipes", "tests")]
    texts = [*ROOT.glob("*.*"), *(path for room in rooms for path in room.rglob("*.*"))]
    texts = [path for path in texts if path.suffix in {".py", ".md", ".toml"}]
    assert not [str(p) for p in texts if re.search("^(<{7}|>{7}) ", p.read_text(encoding="utf-8"), re.MULTILINE)]


def test_the_lazy_surface_and_its_types_agree():
    tree = ast.parse((ROOT / "dlcli/__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert typed == dlcli._MODULES
    for name in dlcli.__all__:
        assert getattr(dlcli, name) is not None


def test_importing_dlcli_costs_no_heavy_module():
    code = (
        "import dlcli, dlcli.plugins, sys; print([m for m in ('torch','numpy','h5py','pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", sorted((ROOT / "plugins").rglob("dlcli_*/*.py")), ids=lambda path: path.name)
def test_plugins_import_the_public_surface_alone(path):
    own = path.parent.name
    inner = {name for name in imported(path) if name.startswith("dlcli.") and not name.startswith(own)}
    assert inner <= {"dlcli.testing"}


def test_every_module_imports_alone_without_warnings(tmp_path):
    """All in one process a few at a time would hide an import that only works after another: names come shuffled."""
    # Components import the public surface, which is lazy, and their siblings; the battery loads each.
    rooms = [path.relative_to(ROOT) for path in MODULES if path.parts[len(ROOT.parts) + 1] != "builtin"]
    names = [str(path.with_suffix("")).replace("/", ".").removesuffix(".__init__") for path in rooms]
    assert "dlcli.training.capture" in names
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    for loaded in [m for m in sys.modules if m == 'dlcli' or m.startswith('dlcli.')]:\n"
        "        del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
    )
    # Each module is read many times: compiled once.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
