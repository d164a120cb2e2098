"""What quick commands must not import; how long they take is measured by tests/bench/bench_help.py."""

import os
import subprocess
import sys

import pytest

HEAVY = "torch", "numpy", "h5py", "optuna", "safetensors", "tomlkit"
PROGRAM = """
import sys
from dlcli.cli.app import run
code = run(sys.argv[1:])
print("heavy:", *[name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


def run(*words: str, cwd=None, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DLCLI_PLUGINS": "", **variables}
    program = [sys.executable, "-c", PROGRAM.format(heavy=(*HEAVY, "pydantic")), *words]
    return subprocess.run(program, capture_output=True, text=True, env=environment, cwd=cwd)


def heavy(*words: str, **options) -> list[str]:
    finished = run(*words, **options)
    assert finished.returncode == 0, finished.stderr
    return finished.stderr.splitlines()[-1].split()[1:]


def test_help_imports_nothing_heavy(tmp_path):
    assert heavy("--help", cwd=tmp_path) == []


@pytest.mark.parametrize("words", [("train", "--help"), ("plugins", "--help"), ("runs",)], ids=" ".join)
def test_quick_commands_import_nothing_heavy(words, tmp_path):
    # Typer itself reads the arguments of a command with pydantic.
    assert set(heavy(*words, cwd=tmp_path)) <= {"pydantic"}


def complete(line: str, cwd) -> tuple[list[str], list[str]]:
    """Return what bash would offer for a line, and the heavy modules that were imported for it."""
    words = line.split(" ")
    variables = {
        "_DLCLI_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    finished = run(cwd=cwd, **variables)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.split(), sorted({*finished.stderr.splitlines()[-1].split()[1:]} & {*HEAVY})


@pytest.fixture
def workplace(tmp_path):
    for path in (
        "recipe.toml",
        "pyproject.toml",
        "recipes/digits/mlp.toml",
        "recipes/notes.txt",
        "runs/a/0001/recipe.toml",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    (tmp_path / "runs/a/0002").mkdir()
    (tmp_path / "runs/b/0001").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("dlcli tr", ["train"]),
        ("dlcli plugins ", ["list", "show", "doctor", "new"]),
        ("dlcli train ", ["recipe.toml", "recipes/digits/mlp.toml"]),
        ("dlcli train recipes/", ["recipes/digits/mlp.toml"]),
        ("dlcli build recipes/d", ["recipes/digits/mlp.toml"]),
        ("dlcli evaluate ", ["a", "b", "runs/a/0001", "runs/a/0002", "runs/b/0001"]),
        ("dlcli evaluate runs/b", ["runs/b/0001"]),
        ("dlcli train --resume a", ["a"]),
        ("dlcli train --device c", ["cpu", "cuda"]),
        ("dlcli runs --sort e", ["epochs"]),
        ("dlcli runs --status f", ["finished", "failed"]),
        ("dlcli evaluate a --split t", ["train", "test"]),
        ("dlcli plugins show accu", ["accuracy"]),
        ("dlcli plugins list --kind opt", ["optimizer"]),
    ],
)
def test_the_shell_is_offered_what_fits_without_torch(workplace, line, offered):
    assert complete(line, workplace) == (offered, [])
