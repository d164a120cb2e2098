"""Every recipe in the tree loads, and says how to run it and what to expect."""

from pathlib import Path

import pytest

from dlcli.plugins import load_plugins
from dlcli.recipe.load import load_recipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").rglob("*.toml"))


def test_none_is_overlooked():
    assert len(RECIPES) == 17


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_loads_and_its_head_says_what_to_expect(path):
    recipe = load_recipe(path, load_plugins().registry)
    assert Path(recipe.data.path).is_file()
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    command = "train" if recipe.ensemble is None else "ensemble"
    assert head[0].endswith(f"dlcli {command} {path.relative_to(ROOT)}")
    assert "Expected: " in head[1]
