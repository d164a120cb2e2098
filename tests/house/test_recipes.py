"""Every recipe in the tree loads, and says how to run it and what to expect."""

import re
import shlex
from pathlib import Path

import pytest

from dlcli.cli.app import run
from dlcli.data.check import check
from dlcli.plugins import load_plugins
from dlcli.recipe.load import load_recipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").rglob("*.toml"))


def test_none_is_overlooked():
    assert len(RECIPES) == 36


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_loads_and_its_head_says_what_to_expect(path, tmp_path, monkeypatch):
    recipe = load_recipe(path, load_plugins().registry)
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    if head[0].startswith("# dlcli data import "):
        words = shlex.split(head.pop(0))[2:]
        place = words.index("-o") + 1
        assert (ROOT / words[place]).resolve() == Path(recipe.data.path).resolve()
        monkeypatch.chdir(ROOT)
        made = tmp_path / "made.h5"
        assert run([*words[:place], str(made), *words[place + 1 :], "-q"]) == 0
        assert not [finding for finding in check(made) if finding.level == "error"]
        assert (path.parent / "ORIGIN.md").is_file()
    else:
        assert Path(recipe.data.path).is_file()
    command = "train" if recipe.ensemble is None else "ensemble"
    assert re.search(rf"dlcli {command} {re.escape(str(path.relative_to(ROOT)))}( --kfold \d+)?$", head[0])
    assert "Expected: " in head[1]
