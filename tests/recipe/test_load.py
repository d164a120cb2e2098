import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from dlcli.contracts.task import Task
from dlcli.errors import RecipeError
from dlcli.recipe.load import load_recipe

SMALL = {"data": {"path": "d.h5"}, "model": {"architecture": "net"}}


def test_a_recipe_is_read_with_its_components_in_place(recipe_text, write, registry):
    recipe = load_recipe(write(recipe_text), registry)
    assert (recipe.name, recipe.seed) == ("digits", 3)
    assert recipe.model.architecture.hidden == (128, 64)
    assert recipe.model.architecture.activation.slope == 0.1
    assert recipe.train.optimizer.name == "adam"
    assert recipe.train.schedule.warmup_epochs == 2.0
    assert [(metric.name, getattr(metric, "bins", None)) for metric in recipe.train.metrics] == [
        ("accuracy", None),
        ("ece", 5),
    ]
    assert [(named.id, named.component.name) for named in recipe.regularizers] == [
        ("early_stopping", "early_stopping"),
        ("small", "l2"),
    ]
    assert recipe.regularizers[0].component.patience == 5


def test_defaults_are_those_of_the_design(registry):
    recipe = load_recipe(SMALL, registry)
    train = recipe.train
    assert (recipe.seed, train.epochs, train.batch_size, train.monitor, train.select) == (0, 30, 64, "val_loss", "best")
    assert (train.loss, train.metrics, recipe.model.init, recipe.data.task) == (None, None, None, None)
    assert (train.optimizer.name, train.schedule.name, train.device) == ("adamw", "constant", "auto")
    assert (train.drop_last, train.checkpoint_seconds, recipe.log.tensorboard) == (False, 30.0, False)
    assert train.keep_checkpoints.model_dump() == {"best": 1, "last": 1, "every_epochs": 0}
    assert recipe.data.split.model_dump() == {"val": None, "test": None, "stratify": None}
    assert (recipe.data.fields, recipe.data.preprocess, recipe.regularizers) == ({}, (), ())


def test_a_recipe_cannot_be_changed(registry):
    recipe = load_recipe(SMALL, registry)
    with pytest.raises(ValidationError, match="frozen"):
        recipe.seed = 4
    with pytest.raises(ValidationError, match="frozen"):
        recipe.train.epochs = 4


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("mlp.toml", "mlp"),
        ("recipe.toml", "my-digits"),
        ("two words.v2.toml", "two-words.v2"),
        ("größe.toml", "größe"),
        ("!.toml", "recipe"),
    ],
)
def test_a_recipe_is_named_after_its_file_or_after_the_folder_of_a_recipe_toml(file, name, tmp_path, registry):
    path = tmp_path / "my digits" / file
    path.parent.mkdir()
    path.write_text('[data]\npath = "d.h5"\n[model]\narchitecture = "net"\n', encoding="utf-8")
    assert load_recipe(path, registry).name == name


def test_a_mapping_without_a_name_is_called_recipe(registry):
    assert load_recipe(SMALL, registry).name == "recipe"


def test_data_path_is_relative_to_the_recipe_and_absolute_afterwards(recipe_text, tmp_path, registry, monkeypatch):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "r.toml").write_text(recipe_text.replace("digits.h5", "../data/digits.h5"))
    monkeypatch.chdir(tmp_path)
    assert load_recipe(Path("recipes/r.toml"), registry).data.path == str(tmp_path / "data" / "digits.h5")


def test_data_path_may_be_given_another_base_a_home_or_in_full(tmp_path, registry, monkeypatch):
    def path(given):
        return load_recipe({**SMALL, "data": {"path": given}}, registry, base=tmp_path / "base").data.path

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert path("d.h5") == str(tmp_path / "base" / "d.h5")
    assert path("~/d.h5") == str(tmp_path / "home" / "d.h5")
    assert path("/elsewhere/d.h5") == "/elsewhere/d.h5"
    assert path(tmp_path / "d.h5") == str(tmp_path / "d.h5")


def test_data_path_on_the_command_line_is_relative_to_the_current_folder(
    recipe_text, write, tmp_path, registry, monkeypatch
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    recipe = load_recipe(write(recipe_text), registry, ["data.path=moved.h5"])
    assert recipe.data.path == str(tmp_path / "here" / "moved.h5")


def test_a_link_in_the_path_is_followed_before_going_up_and_the_file_keeps_its_name(tmp_path, registry):
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    (tmp_path / "real" / "latest.h5").symlink_to(tmp_path / "real" / "v1.h5")
    recipe = load_recipe({**SMALL, "data": {"path": "link/../latest.h5"}}, registry, base=tmp_path)
    assert recipe.data.path == str(tmp_path / "real" / "latest.h5")


def test_a_mapping_may_hold_components_paths_and_tuples(registry):
    net = registry.create("architecture", "net", hidden=[8], activation="leaky")
    l2 = registry.create("regularizer", "l2", strength=0.5)
    recipe = load_recipe(
        {
            "data": {"path": Path("d.h5"), "task": Task.BINARY, "preprocess": ("standardize",)},
            "model": {"architecture": net, "init": "uniform"},
            "regularizers": [l2, {"name": "early_stopping"}],
        },
        registry,
        ["model.activation.slope=0.7"],
    )
    assert recipe.model.architecture == net.model_copy(
        update={"activation": registry.create("activation", "leaky", slope=0.7)}
    )
    assert recipe.model.init == registry.create("initializer", "uniform")
    assert recipe.regularizers[0].component == l2
    assert recipe.data.task is Task.BINARY


def test_a_mapping_is_left_as_it_is(registry):
    mapping = {"data": {"path": "d.h5"}, "model": {"architecture": "net"}, "train": {"optimizer": "adam"}}
    before = repr(mapping)
    load_recipe(mapping, registry, ["train.optimizer.lr=0.5", "train.epochs=2"])
    assert repr(mapping) == before


def test_a_field_is_mapped_by_a_path_or_a_table(registry):
    data = {
        "path": "d.h5",
        "fields": {"x": "images", "y": {"path": "labels", "role": "target", "classes": ["a", "b"]}},
    }
    fields = load_recipe({**SMALL, "data": data}, registry).data.fields
    assert (fields["x"].path, fields["x"].role) == ("images", None)
    assert (fields["y"].path, fields["y"].role, fields["y"].classes) == ("labels", "target", ("a", "b"))


def test_a_file_and_the_same_mapping_give_the_same_recipe(recipe_text, write, registry):
    path = write(recipe_text)
    assert load_recipe(path, registry) == load_recipe(tomllib.loads(recipe_text), registry, base=path.parent)


def test_problems_are_told_all_at_once_in_the_order_of_the_file_then_the_command_line(recipe_text, write, registry):
    text = (
        recipe_text.replace("seed = 3", "seed = -3")
        .replace("bins = 5", "bin = 5")
        .replace("patience = 5", "patience = 0")
    )
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(text), registry, ["train.epochs=none", "nonsense", "regularizers.l3.strength=1"])
    file = str(write(text))
    assert [(problem.where.replace(file, "mine.toml"), problem.key) for problem in caught.value.problems] == [
        ("--set nonsense", ""),
        ("--set regularizers.l3.strength", "regularizers.l3.strength"),
        ("mine.toml:3", "seed"),
        ("mine.toml:16", "train.metrics.ece.bin"),
        ("mine.toml:20", "regularizers.early_stopping.patience"),
        ("--set train.epochs", "train.epochs"),
    ]
