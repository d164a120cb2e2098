from pathlib import Path

import pytest
import torch

from dlcli.plugins import Plugins, load_plugins

DIGITS = Path(__file__).parents[2] / "recipes/digits/digits.h5"


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    torch.set_num_threads(1)
    return load_plugins()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def recipe():
    """A small recipe on the digits as a mapping; keyword arguments replace whole tables."""

    def make(**tables):
        base = {
            "name": "small",
            "data": {"path": str(DIGITS), "preprocess": ["standardize"]},
            "model": {"architecture": "mlp", "hidden": [16]},
            "train": {"epochs": 3, "optimizer": {"name": "adam", "lr": 3e-3}},
        }
        return {**base, **tables}

    return make


@pytest.fixture
def tunable(recipe):
    """A recipe to search as a mapping: its space, other keys of `[tune]`, whole tables, and `seed`."""

    def make(space, *, data=None, model=None, train=None, regularizers=None, seed=0, **section):
        tables = {"data": data, "regularizers": regularizers}
        tables["model"] = model or {"architecture": "mlp", "hidden": [8]}
        tables["train"] = {"epochs": 2, "optimizer": {"name": "adam", "lr": 3e-3}, **(train or {})}
        given = {key: value for key, value in tables.items() if value is not None}
        return recipe(**given, seed=seed, tune={**section, "space": space})

    return make
