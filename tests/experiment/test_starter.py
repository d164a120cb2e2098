"""Starter recipes: what they say of each kind of dataset, and that each one loads and builds."""

import tomllib

import h5py
import numpy as np
import pytest

from dlcli.errors import DataError, UsageError
from dlcli.experiment.build import build
from dlcli.experiment.import_data import import_data
from dlcli.experiment.starter import starter_recipe, write_starter
from dlcli.experiment.tune import show_space, tune
from dlcli.plugins import load_plugins
from dlcli.recipe.load import load_recipe

ROWS = 60


@pytest.fixture(scope="module")
def plugins():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLCLI_PLUGINS", "")
        return load_plugins()


@pytest.fixture
def dataset(tmp_path):
    """Return a function that writes a dataset: `x` and `y` rows by split, and attributes of `y`."""
    generator = np.random.default_rng(0)

    def make(shape, target, *, dtype="float32", splits=("train", "val", "test"), name="my data.h5", rows=ROWS, **attrs):
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            for split in splits:
                group = file.create_group(split) if split else file
                group["x"] = (generator.random((rows, *shape)) * 255).astype(dtype)
                group["y"] = target(rows)
                group["y"].attrs.update(attrs)
        return path

    return make


def classes(count):
    return lambda rows: (np.arange(rows) % count).astype("int64")


def numbers(*shape):
    return lambda rows: np.linspace(0, 1, rows * int(np.prod(shape)), dtype="float32").reshape(rows, *shape)


def labels(rows):
    return (np.arange(rows * 3).reshape(rows, 3) % 2).astype("uint8")


CASES = {
    "features": (((5,), classes(3)), {"classes": ["a", "b", "c"]}, "mlp", "cross_entropy", ["accuracy", "ece"]),
    "two classes": (((5,), classes(2)), {"classes": ["no", "yes"]}, "mlp", "binary_cross_entropy", ["accuracy", "ece"]),
    "labels": (((5,), labels), {"classes": ["a", "b", "c"]}, "mlp", "binary_cross_entropy", ["accuracy", "ece"]),
    "regression": (((5,), numbers()), {}, "mlp", "mse", ["rmse", "mae", "r2"]),
    "two targets": (((5,), numbers(2)), {}, "mlp", "mse", ["rmse", "mae", "r2"]),
    "small image": (((8, 8), classes(3)), {"classes": ["a", "b", "c"]}, "mlp", "cross_entropy", ["accuracy", "ece"]),
    "image": (((12, 12), classes(3)), {"classes": ["a", "b", "c"]}, "cnn", "cross_entropy", ["accuracy", "ece"]),
    "colours": (((14, 12, 3), classes(3)), {"classes": ["a", "b", "c"]}, "cnn", "cross_entropy", ["accuracy", "ece"]),
}


@pytest.mark.parametrize("case", CASES)
def test_each_kind_of_dataset_gets_a_recipe_that_builds(dataset, plugins, tmp_path, case):
    (shape, target), attributes, architecture, loss, metrics = CASES[case]
    image = {"dtype": "uint8"} if len(shape) > 1 else {}
    path = dataset(shape, target, **image, **attributes)
    if len(shape) > 1:
        with h5py.File(path, "a") as file:
            for split in file:
                file[split]["x"].attrs["kind"] = "image"
    recipe = tmp_path / "recipe.toml"
    write_starter(path, recipe, plugins=plugins)
    table = tomllib.loads(recipe.read_text())
    assert table["model"]["architecture"] == architecture
    assert table["train"]["loss"] == loss
    assert table["train"]["metrics"] == metrics
    assert table["data"]["preprocess"] == ["standardize"]
    assert "split" not in table["data"]
    assert table["model"].get("floor", False) == (architecture == "cnn" and any(pixels % 4 for pixels in shape[:2]))
    preflight = build(recipe, plugins=plugins)
    assert preflight.parameters > 0
    assert preflight.steps_per_epoch >= ROWS // 16


def test_every_key_has_a_comment(dataset, plugins, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = starter_recipe(dataset((5,), classes(3), classes=["a", "b", "c"]), plugins.registry)
    keys = [line for line in text.splitlines() if " = " in line and not line.startswith("#")]
    assert len(keys) >= 15
    assert [line for line in keys if "  # " not in line] == []
    assert max(map(len, text.splitlines())) <= 120


def test_comments_say_what_is_in_the_file(dataset, plugins):
    text = starter_recipe(dataset((5,), classes(3), classes=["cat", "dog", "emu"]), plugins.registry)
    assert "# A first recipe for my data.h5" in text
    assert "# x: input, features 5, float32" in text
    assert "# 3 classes: cat, dog, emu" in text


def test_names_in_a_file_cannot_break_out_of_a_comment(dataset, plugins):
    path = dataset((5,), classes(2), classes=["no\n[model]\nseed = 7", "y\x07es"])
    text = starter_recipe(path, plugins.registry)
    assert r"# 2 classes: no\n[model]\nseed = 7, y\x07es" in text
    assert tomllib.loads(text)["seed"] == 0


def test_what_the_network_cannot_take_is_refused(dataset, plugins):
    path = dataset((5,), classes(2), classes=["no", "yes"])
    with h5py.File(path, "a") as file:
        for split in file:
            file[split]["x"].attrs["role"] = "input"
            file[split]["words"] = np.zeros((ROWS, 3), "int64")
            file[split]["words"].attrs.update(role="condition", kind="tokens", classes=["a"])
    with pytest.raises(DataError, match="mlp needs numbers, but condition words holds tokens; put .embed. into"):
        starter_recipe(path, plugins.registry)


@pytest.mark.parametrize(("predict", "architecture"), [("each", "transformer"), ("next", "lstm")])
def test_a_text_gets_a_network_that_reads_tokens(tmp_path, plugins, predict, architecture):
    (tmp_path / "t.txt").write_text("to be or not to be, that is the question\n" * 20)
    parameters = {"predict": predict, "window": 8}
    import_data(tmp_path / "t.txt", tmp_path / "t.h5", parameters=parameters, plugins=plugins)
    write_starter(tmp_path / "t.h5", tmp_path / "recipe.toml", plugins=plugins)
    model = tomllib.loads((tmp_path / "recipe.toml").read_text())["model"]
    assert model["architecture"] == architecture
    assert model["inputs"] == ["embed"]
    assert model.get("causal", False) is (predict == "each")
    assert build(tmp_path / "recipe.toml", plugins=plugins).steps_per_epoch > 0


STEPS = np.random.default_rng(1).normal(size=(ROWS, 6, 2)).astype("float32")
LENGTHS = np.arange(ROWS) % 6 + 1


def ahead(steps, lengths=None):
    """Return what stands one step on, with something else where nothing does."""
    answers = np.concatenate([steps[:, 1:], np.full_like(steps[:, :1], 7)], axis=1)
    return answers if lengths is None else np.where((np.arange(6) < lengths[:, None] - 1)[:, :, None], answers, 7)


SEQUENCES = {
    "one answer a row": ({"x": STEPS, "y": np.arange(ROWS) % 2}, ["a", "b"], "lstm", False),
    "with lengths": ({"x": STEPS, "y": np.arange(ROWS) % 2, "length": LENGTHS}, ["a", "b"], "lstm", False),
    "beside features": ({"x": STEPS, "z": STEPS[:, 0], "y": np.arange(ROWS) % 2}, ["a", "b"], "mlp", False),
    "of other steps": ({"x": STEPS, "z": STEPS[:, :4], "y": np.arange(ROWS) % 2}, ["a", "b"], "mlp", False),
    "an answer a step": ({"x": STEPS, "y": (STEPS[:, :, 0] > 0).astype("int64")}, ["a", "b"], "transformer", False),
    "the next step": ({"x": STEPS, "y": ahead(STEPS)}, None, "transformer", True),
    "the next step, padded": ({"x": STEPS, "y": ahead(STEPS, LENGTHS), "length": LENGTHS}, None, "transformer", True),
    "the same step": ({"x": STEPS, "y": STEPS}, None, "transformer", False),
    "always the same": ({"x": STEPS * 0, "y": STEPS * 0}, None, "transformer", False),
}


@pytest.mark.parametrize("case", SEQUENCES)
def test_sequences_get_a_network_that_reads_steps(plugins, tmp_path, case):
    fields, names, architecture, causal = SEQUENCES[case]
    with h5py.File(tmp_path / "s.h5", "w") as file:
        for name, values in fields.items():
            file[name] = values
        for name in fields.keys() & {"x", "z"}:
            file[name].attrs.update(role="input", kind="sequence" if fields[name].ndim > 2 else "features")
        if names:
            file["y"].attrs["classes"] = names
        if "length" in fields:
            file["length"].attrs.update(role="length", of="x")
    write_starter(tmp_path / "s.h5", tmp_path / "recipe.toml", plugins=plugins)
    model = tomllib.loads((tmp_path / "recipe.toml").read_text())["model"]
    assert model["architecture"] == architecture
    assert model.get("causal", False) is causal
    assert build(tmp_path / "recipe.toml", plugins=plugins).parameters > 0


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (
            lambda x, y: x.__setitem__((slice(None), 1), np.nan),
            r"all values of column 1 are missing in the training rows",
        ),
        (lambda x, y: x.__setitem__((3, 1), np.inf), r"x: 1 infinite of 300 values, the first in row 3, column 1"),
        (lambda x, y: y.attrs.update(classes=["a"]), r"y: only one class, 'a'; a classification needs two"),
    ],
)
def test_what_training_refuses_gets_no_recipe(dataset, plugins, tmp_path, spoil, why):
    path = dataset((5,), lambda rows: np.zeros(rows, "int64"), classes=["a", "b"])
    assert "# All rows are of one class, a: there is nothing to learn." in starter_recipe(path, plugins.registry)
    with h5py.File(path, "a") as file:
        for split in file.values():
            spoil(split["x"], split["y"])
    with pytest.raises(DataError, match=rf"(?s)no recipe can be written for .* yet: .*{why}"):
        write_starter(path, tmp_path / "recipe.toml", plugins=plugins)
    assert not (tmp_path / "recipe.toml").exists()


def test_rare_classes_are_pointed_out(dataset, plugins):
    rare = dataset((5,), lambda rows: (np.arange(rows) < 3).astype("int64"), classes=["no", "yes"])
    assert "# Classes are out of balance (3 to 57 rows)" in starter_recipe(rare, plugins.registry)


def test_splits_are_asked_for_where_the_file_has_none(dataset, plugins, tmp_path):
    def split(path):
        recipe = tmp_path / "recipe.toml"
        write_starter(path, recipe, plugins=plugins, force=True)
        load_recipe(recipe, plugins.registry)
        return tomllib.loads(recipe.read_text())["data"]["split"]

    names = {"classes": ["a", "b", "c"]}
    flat = dataset((5,), classes(3), splits=("",), **names)
    assert split(flat) == {"val": 0.2, "test": 0.2, "stratify": True}
    no_val = dataset((5,), classes(3), splits=("train", "test"), **names)
    assert split(no_val) == {"val": 0.2, "stratify": True}
    numbers_only = dataset((5,), numbers(), splits=("train",))
    assert split(numbers_only) == {"val": 0.2}


@pytest.mark.parametrize(
    ("target", "task"), [(classes(2), "binary"), (classes(5), "multiclass"), (labels, "multilabel")]
)
def test_integers_without_classes_are_guessed_and_the_guess_is_told(dataset, plugins, tmp_path, target, task):
    recipe = tmp_path / "recipe.toml"
    write_starter(dataset((5,), target), recipe, plugins=plugins)
    text = recipe.read_text()
    assert tomllib.loads(text)["data"]["task"] == task
    assert "a guess, since the target is integers without `classes`" in text
    assert build(recipe, plugins=plugins).task == task


def test_the_path_is_relative_to_the_recipe(dataset, plugins, tmp_path, monkeypatch):
    path = dataset((5,), numbers())
    (tmp_path / "recipes").mkdir()
    monkeypatch.chdir(tmp_path)
    write_starter(path.relative_to(tmp_path), tmp_path / "recipes" / "first.toml", plugins=plugins)
    recipe = tomllib.loads((tmp_path / "recipes" / "first.toml").read_text())
    assert recipe["data"]["path"] == "../my data.h5"
    assert recipe["name"] == "my-data"
    assert build(tmp_path / "recipes" / "first.toml", plugins=plugins).task == "regression"


def test_a_recipe_that_is_there_is_kept_unless_forced(dataset, plugins, tmp_path):
    path, recipe = dataset((5,), numbers()), tmp_path / "recipe.toml"
    recipe.write_text("# mine")
    with pytest.raises(UsageError, match=r"recipe.toml is there already: give another file with --output, or --force"):
        write_starter(path, recipe, plugins=plugins)
    assert recipe.read_text() == "# mine"
    write_starter(path, recipe, plugins=plugins, force=True)
    assert recipe.read_text() != "# mine"


def test_a_file_without_a_plain_target_is_refused_with_the_reason(tmp_path, plugins):
    path = tmp_path / "odd.h5"
    with h5py.File(path, "w") as file:
        file["train/a"] = np.zeros((4, 2))
        file["train/b"] = np.zeros((4, 3))
    with pytest.raises(DataError, match=r"no recipe can be written for it yet:\n.*which dataset is the target"):
        starter_recipe(path, plugins.registry)


def test_a_missing_file_is_refused(tmp_path, plugins):
    with pytest.raises(DataError, match="missing.h5"):
        starter_recipe(tmp_path / "missing.h5", plugins.registry)


@pytest.mark.parametrize("case", CASES)
def test_every_starter_is_tuned_as_it_is(dataset, plugins, tmp_path, case, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (shape, target), attributes, *_ = CASES[case]
    path = dataset(shape, target, **attributes)
    with h5py.File(path, "a") as file:
        for split in file:
            file[split]["x"].attrs["kind"] = "image" if len(shape) > 1 else "features"
    write_starter(path, tmp_path / "recipe.toml", plugins=plugins)
    assert len(show_space("recipe.toml", plugins=plugins)) == 10
    outcome = tune("recipe.toml", overrides=["train.epochs=2"], trials=2, method="random", plugins=plugins)
    assert set(outcome.as_json()["best"]["setting"]) == {
        "train.optimizer.lr",
        "train.optimizer.weight_decay",
        "model.dropout",
    }


def test_missing_values_are_filled_in_and_categories_become_columns(tmp_path, plugins):
    path = tmp_path / "mixed.h5"
    values = np.random.default_rng(0).normal(size=(ROWS, 2)).astype("float32")
    values[:6, 1] = np.nan
    with h5py.File(path, "w") as file:
        file["x"], file["colour"], file["y"] = values, np.arange(ROWS) % 3, np.arange(ROWS) % 2
        file["x"].attrs["role"] = "input"
        file["colour"].attrs.update(role="input", kind="categorical", classes=["red", "green", "missing"])
        file["y"].attrs["classes"] = ["no", "yes"]
    text = starter_recipe(path, plugins.registry, folder=tmp_path)
    assert tomllib.loads(text)["data"]["preprocess"] == ["impute", "one_hot", "standardize"]
    assert "# x: input, features 2, float32" in text
    assert ", 5 % missing" in text
    assert "cannot take" not in text
    (tmp_path / "recipe.toml").write_text(text)
    found = build(tmp_path / "recipe.toml", plugins=plugins)
    assert "x lacks 6 of 120 values, which preprocessing fills in" in found.notes
    assert found.layers[0].parameters == (2 + 3) * 128 + (0 if "norm" in text else 128)
