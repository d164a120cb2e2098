import math
import random
import tomllib
from pathlib import Path

import pytest

from dlcli import Choice, Condition, Normal, Uniform, compose
from dlcli.contracts.search import Limits
from dlcli.errors import RecipeError
from dlcli.plugins import load_plugins
from dlcli.recipe.keys import Spot
from dlcli.recipe.load import load_recipe
from dlcli.recipe.resolved import resolve, to_toml
from dlcli.recipe.setting import trial_recipe
from dlcli.recipe.space import limits_at, read_limits, read_space, required, space_line

RECIPE = """
[data]
path = "x.h5"
[model]
architecture = "mlp"
[[regularizers]]
name = "l2"
[tune]
trials = 7
population = 4
[tune.space]
"train.optimizer.lr" = { log_uniform = [1e-5, 1] }
"train.epochs" = { int = [1, 9] }
"train.batch_size" = { log_int = [8, 64] }
"model.dropout" = { normal = [0.2, 0.1] }
"model.hidden" = { choice = [[64], [128, 128]] }
"train.optimizer" = { choice = ["adam", { name = "sgd", nesterov = false }] }
"train.optimizer.momentum" = { uniform = [0.0, 0.9], when = { "train.optimizer" = ["sgd"] } }
"regularizers.l2.strength" = { log_uniform = [1e-6, 1e-2] }
"data.preprocess" = { choice = [[], ["standardize"]] }
"""


@pytest.fixture(scope="module")
def registry():
    return load_plugins(third_parties=False).registry


@pytest.fixture
def recipe(tmp_path, registry):
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE)
    return load_recipe(path, registry)


def test_every_distribution_is_read(recipe, registry):
    assert read_space(recipe, registry) == {
        "train.optimizer.lr": Uniform(1e-5, 1.0, log=True),
        "train.epochs": Uniform(1, 9, whole=True),
        "train.batch_size": Uniform(8, 64, log=True, whole=True),
        "model.dropout": Normal(0.2, 0.1, 0.0, math.nextafter(1.0, 0.0)),
        "model.hidden": Choice(((64,), (128, 128))),
        "train.optimizer": Choice(("adam", {"name": "sgd", "nesterov": False})),
        "train.optimizer.momentum": Uniform(0.0, 0.9, when=Condition("train.optimizer", ("sgd",))),
        "regularizers.l2.strength": Uniform(1e-6, 1e-2, log=True),
        "data.preprocess": Choice(((), ("standardize",))),
    }
    assert list(read_space(recipe, registry)) == list(recipe.tune.space)


def test_limits_are_those_of_the_keys_own_field(recipe, registry):
    limits = read_limits(recipe, registry)
    assert limits["train.optimizer.lr"] == Limits(0, low_open=True)
    assert limits["train.epochs"] == Limits(1)
    assert limits["model.dropout"] == Limits(0, 1, high_open=True)
    assert limits["train.optimizer.momentum"] == Limits(0, 1, high_open=True)
    assert limits["regularizers.l2.strength"] == Limits(0)
    assert limits["model.hidden"] == limits["train.optimizer"] == Limits()
    assert limits_at(Spot(str, (), "x")) == Limits()


def test_a_recipe_that_tunes_nothing_has_no_space(tmp_path, registry):
    recipe = load_recipe({"data": {"path": "x"}, "model": {"architecture": "mlp"}}, registry)
    assert recipe.tune is None
    assert read_space(recipe, registry) == {}
    assert "tune" not in resolve(recipe, registry)


def test_the_resolved_recipe_tunes_the_same(recipe, registry, tmp_path):
    path = tmp_path / "resolved.toml"
    path.write_text(to_toml(resolve(recipe, registry)))
    again = load_recipe(path, registry)
    assert again.tune == recipe.tune
    assert read_space(again, registry) == read_space(recipe, registry)
    assert (again.tune.trials, again.tune.population, again.tune.method.name) == (7, 4, "tpe")
    assert '\n[tune.space]\n"train.optimizer.lr" = { log_uniform = [1e-05, 1.0] }\n' in path.read_text()


def test_a_space_is_set_on_the_command_line(recipe, registry, tmp_path):
    overrides = [
        'tune.space."train.optimizer.lr"={ log_uniform = [1e-3, 1e-2] }',
        'tune.space."train.epochs".int=[2, 3]',
        'tune.space."model.activation"={ choice = ["relu"] }',
        "tune.method=random",
        "tune.trials=3",
    ]
    space = read_space(load_recipe(tmp_path / "mine.toml", registry, overrides), registry)
    assert space["train.optimizer.lr"] == Uniform(1e-3, 1e-2, log=True)
    assert space["train.epochs"] == Uniform(2, 3, whole=True)
    assert space["model.activation"] == Choice(("relu",))


def test_a_line_to_paste_reads_as_the_same_distribution(recipe, registry, tmp_path):
    space = read_space(recipe, registry)
    lines = "\n".join(space_line(key, distribution) for key, distribution in space.items())
    path = tmp_path / "pasted.toml"
    path.write_text(RECIPE[: RECIPE.index('"train.optimizer.lr"')] + lines)
    assert read_space(load_recipe(path, registry), registry) == space
    assert tomllib.loads(lines)["train.optimizer.momentum"]["when"] == {"train.optimizer": ["sgd"]}


def test_what_a_key_requires_is_followed_to_its_end():
    space = {
        "a": Choice((1, {"name": "x"})),
        "b": Choice((3, 4), when=Condition("a", ("x",))),
        "c": Uniform(0, 1, when=Condition("b", (4,))),
    }
    assert required(space, "c") == {"b": 4, "a": {"name": "x"}}
    assert required(space, "a") == {}


def test_the_example_of_the_documentation_is_a_space(registry, tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "recipe.md").read_text(encoding="utf-8")
    example = text.split("## What is tuned")[1].split("```toml\n")[1].split("```")[0]
    path = tmp_path / "example.toml"
    path.write_text(RECIPE[: RECIPE.index("[tune]")] + example)
    assert len(read_space(load_recipe(path, registry), registry)) == 5


def test_every_setting_of_a_checked_space_is_a_recipe(recipe, registry):
    space, base = read_space(recipe, registry), resolve(recipe, registry)
    quantiles = random.Random(0)
    for _ in range(100):
        setting = compose(space, lambda key, each: each.at(quantiles.random()))
        trial = trial_recipe(base, registry, setting)
        assert trial.train.optimizer.lr == setting["train.optimizer.lr"]
        assert trial.model.architecture.hidden == setting["model.hidden"]
        assert trial.regularizers[0].component.strength == setting["regularizers.l2.strength"]
        assert trial.train.optimizer.name == ("sgd" if "train.optimizer.momentum" in setting else "adam")


def test_a_problem_that_was_set_on_the_command_line_is_told_there(registry, recipe, tmp_path):
    override = 'tune.space."model.dropout"={ uniform = [0.1, 2] }'
    match = r'--set tune.space."model.dropout": tune.space."model.dropout".uniform: 2.0 is refused: expected a number'
    with pytest.raises(RecipeError, match=match):
        load_recipe(tmp_path / "mine.toml", registry, [override])
