import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml

from dlcli import DataError, Field, Task, ensemble, export, load, train
from dlcli.experiment.address import find_address
from dlcli.experiment.exporting.model_card import model_card, pipeline_tag
from dlcli.recipe.load import load_recipe

DIGITS = Path(__file__).parents[3] / "recipes/digits/digits.h5"


@pytest.fixture(scope="module")
def runs(tmp_path_factory, plugins):
    """Runs of one network, of two seeds, of folds, and a bag of two."""
    root = tmp_path_factory.mktemp("runs")

    def recipe(name, **tables):
        data = {"path": str(DIGITS), "preprocess": ["standardize"]}
        train = {"epochs": 1, "metrics": ["accuracy"], "optimizer": {"name": "adam", "lr": 1e-5}}
        return {"name": name, "data": data, "model": {"architecture": "mlp", "hidden": [8]}, "train": train, **tables}

    train(recipe("one"), runs=root, plugins=plugins)
    train(recipe("seeds"), seeds=2, runs=root, plugins=plugins)
    train(recipe("folds"), kfold=2, runs=root, plugins=plugins)
    ensemble(recipe("bag", ensemble={"strategy": "bagging", "members": 2}), runs=root, plugins=plugins)
    return root


@pytest.fixture
def card(runs, plugins):
    """Return the card of a run, its front matter, and its run.json with changes."""

    def make(reference, **changes):
        address = find_address(reference, runs)
        facts = {**json.loads((address.run.path / "run.json").read_text()), **changes}
        model = load(reference, runs=runs, plugins=plugins)
        recipe = load_recipe(address.run.recipe, plugins.registry)
        text = model_card(address, model, facts, recipe, {"train": 1257, "val": 270, "test": 270})
        _, front, body = text.split("---\n", 2)
        return body, yaml.safe_load(front), facts

    return make


def figures_of(front):
    (entry,) = front["model-index"]
    (result,) = entry["results"]
    return entry["name"], result["dataset"]["split"], {each["type"]: each["value"] for each in result["metrics"]}


@pytest.mark.parametrize("name", ["one", "seeds", "folds", "bag"])
def test_the_front_matter_holds_the_figures_of_the_run(card, name):
    _, front, facts = card(name)
    assert figures_of(front) == (f"{name}/0001", "test", facts["test"])
    assert front["library_name"] == "dlcli"
    assert front["pipeline_tag"] == "image-classification"
    assert front["license"] == "cc-by-4.0"  # as the file's attributes say
    assert {"dlcli", "multiclass"} <= set(front["tags"])


def test_of_a_fold_it_holds_the_held_out_figures(card):
    body, front, facts = card("folds@fold-1")
    (entry,) = [entry for entry in facts["members"] if entry["identity"] == "fold-1"]
    assert figures_of(front) == ("folds/0001@fold-1", "held_out", entry["held_out"])
    assert "The test rows" not in body


def cells(body, split):
    (line,) = [line for line in body.splitlines() if line.startswith(f"| {split} |")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_the_spread_is_that_of_the_members(card):
    body, _, facts = card("seeds")
    values = torch.tensor([entry["test"]["accuracy"] for entry in facts["members"]])
    assert cells(body, "test")[1] == f"{facts['test']['accuracy']:.4g} ± {values.std().item():.2g}"
    body, _, facts = card("bag")
    values = torch.tensor([entry["figures"]["loss"] for entry in facts["members"]], dtype=torch.float64)
    assert cells(body, "test")[0] == f"{facts['test']['loss']:.4g} ± {values.std().item():.2g}"
    body, _, _ = card("one")
    assert "±" not in body
    assert "how far another would lie from it was not measured" in body


def test_it_says_what_the_data_was_and_what_it_does_not_know(card):
    body, _, facts = card("one")
    assert f"fingerprint `{facts['data']['fingerprint']}`" in body
    assert "rows: train 1,257, val 270, test 270" in body
    assert "among these 10 classes, also where none fits: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in body
    assert "The test rows were scored once" in body
    assert "its answers to them mean nothing, however certain they look" in body


def test_its_recipe_is_one_without_places_of_this_machine(card, runs, tmp_path, plugins):
    body, _, _ = card("one")
    assert str(DIGITS.parent) not in body
    assert str(runs) not in body
    text = body.split("```toml\n")[1].split("```")[0]
    (tmp_path / "recipe.toml").write_text(text)
    again = load_recipe(tmp_path / "recipe.toml", plugins.registry)
    assert (again.name, again.train.epochs, again.data.path) == ("one", 1, str(tmp_path / "digits.h5"))


def test_texts_of_a_run_cannot_leave_their_place(card):
    name = 'x"\n---\nlicense: mit\n# <script>|`'
    body, front, _ = card("one", name=name, notes=["a\n```\n# heading"])
    assert front["model-index"][0]["name"] == f"{name}/0001"
    assert front["license"] == "cc-by-4.0"
    assert "Of the run: a ''' # heading." in body


@pytest.mark.parametrize("value", [1e-05, 1e22, 0.5, 3.0, -1.25e-300])
def test_numbers_stay_numbers(card, value):
    _, front, _ = card("one", test={"loss": value})
    assert figures_of(front)[2] == {"loss": value}


def test_names_of_tasks():
    def tag(kind, task, each=False):
        return pipeline_tag(Field("x", "input", kind, (3,), "float32"), task, each)

    assert tag("features", Task.REGRESSION) == "tabular-regression"
    assert tag("tokens", Task.BINARY) == "text-classification"
    assert tag("tokens", Task.MULTICLASS, True) == "token-classification"
    assert tag("sequence", Task.MULTICLASS) is None


def test_a_spread_is_told_where_there_is_one(card):
    body, _, _ = card("seeds")
    assert "Behind ±: the sample standard deviation over 2 seeds" in body
    body, _, _ = card("one", population={"kind": "trials"})
    assert "Behind ±" not in body
    assert "One training with one seed" in body


def test_the_call_that_it_shows_works_with_conditions(tmp_path, plugins):
    data = tmp_path / "data.h5"
    generator = np.random.default_rng(0)
    with h5py.File(data, "w") as file:
        for split in ("train", "val", "test"):
            for name, width, role in (("x", 3, "input"), ("age", 2, "condition")):
                values = generator.normal(size=(16, width)).astype("float32")
                file.create_dataset(f"{split}/{name}", data=values).attrs["role"] = role
            file[f"{split}/y"] = np.arange(16) % 2
            file[f"{split}/y"].attrs["classes"] = ["no", "yes"]
    table = {"name": "aged", "data": {"path": str(data)}, "model": {"architecture": "linear"}, "train": {"epochs": 1}}
    run = train(table, runs=tmp_path / "runs", plugins=plugins).run
    folder = export(run, format="safetensors", output=tmp_path / "folder", plugins=plugins).path
    assert "model.probabilities(x, age)" in (folder / "README.md").read_text()
    model, x, age = load(folder, plugins=plugins), torch.randn(4, 3), torch.randn(4, 2)
    assert torch.equal(model.probabilities(x, age), model.probabilities(x, conditions=(age,)))
    with pytest.raises(DataError, match=r"takes 2 tensors \(x, age\), got 1"):
        model.probabilities(x)
