import itertools
import re
import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlcli.errors import RecipeError
from dlcli.recipe.load import load_recipe
from dlcli.recipe.overrides import Override, apply_overrides, parse_override


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("seed=3", ("seed",), 3),
        ("train.optimizer.lr=3e-4", ("train", "optimizer", "lr"), 3e-4),
        ("train.optimizer=adam", ("train", "optimizer"), "adam"),
        ("train.optimizer=fakes:adam", ("train", "optimizer"), "fakes:adam"),
        ('train.optimizer="adam"', ("train", "optimizer"), "adam"),
        ("log.tensorboard=true", ("log", "tensorboard"), True),
        ("name=two words", ("name",), "two words"),
        ("data.path=/tmp/a=b.h5", ("data", "path"), "/tmp/a=b.h5"),
        ("model.hidden=[64, 32]", ("model", "hidden"), [64, 32]),
        ('train.optimizer={name = "adam", lr = 1}', ("train", "optimizer"), {"name": "adam", "lr": 1}),
        ('data.fields."my x".path=images', ("data", "fields", "my x", "path"), "images"),
        (" seed = 3 ", ("seed",), 3),
        # What only looks like TOML, and would lose its end or bring a second key, is text.
        ("name=3 # three", ("name",), "3 # three"),
        ("name=3, other = 4", ("name",), "3, other = 4"),
        ("name=3\nother = 4", ("name",), "3\nother = 4"),
        ("name=007", ("name",), "007"),
        ("name=''", ("name",), ""),
    ],
)
def test_a_value_is_toml_and_a_word_is_text(text, path, value):
    override = parse_override(text)
    assert (override.path, override.value, type(override.value)) == (path, value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed", "--set seed: expected key=value with a dotted key, such as --set train.optimizer.lr=3e-4"),
        ("seed=", "--set seed=: expected key=value"),
        ("=3", "--set =3: expected key=value"),
        ("train..epochs=3", "expected key=value with a dotted key"),
        ("[train]=3", "expected key=value with a dotted key"),
        ("a b=3", "expected key=value with a dotted key"),
        ("o={name=adam}", "--set o: {name=adam} is not TOML: Invalid value"),
        ("h=[1, 2", "[1, 2 is not TOML:"),
        ("o={name=adam}", "the shell keeps quotes in --set 'o={name=adam}'"),
    ],
)
def test_what_is_no_override_is_refused(text, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        parse_override(text)


def test_the_file_is_overridden_and_silent_keys_are_set(recipe_text, write, registry):
    recipe = load_recipe(
        write(recipe_text),
        registry,
        ["train.epochs=40", "train.keep_checkpoints.best=3", "model.hidden=[8]", "name=other", "log.tensorboard=true"],
    )
    assert (recipe.train.epochs, recipe.train.keep_checkpoints.best, recipe.log.tensorboard) == (40, 3, True)
    assert (recipe.model.architecture.hidden, recipe.name) == ((8,), "other")


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("train.optimizer.lr=0.5", {"name": "adam", "lr": 0.5}),
        ("train.optimizer.name=adamw", {"name": "adamw"}),
        ("train.optimizer=adamw", "adamw"),
    ],
)
def test_a_component_named_by_a_word_becomes_a_table(override, value, registry):
    table, _, _ = apply_overrides({"train": {"optimizer": "adam"}}, [parse_override(override)], registry)
    assert table == {"train": {"optimizer": value}}


def test_a_component_left_to_its_default_gets_the_default_s_name(registry):
    overrides = ["train.optimizer.lr=0.5", "model.activation.slope=0.5", "train.schedule.warmup_epochs=1"]
    table, _, problems = apply_overrides(
        {"model": {"architecture": "net"}}, [parse_override(text) for text in overrides], registry
    )
    assert problems == []
    assert table == {
        "train": {"optimizer": {"name": "adamw", "lr": 0.5}, "schedule": {"name": "constant", "warmup_epochs": 1}},
        "model": {"architecture": "net", "activation": {"name": "relu", "slope": 0.5}},
    }


def test_a_field_mapped_by_a_path_becomes_a_table(registry):
    table, _, _ = apply_overrides(
        {"data": {"fields": {"x": "i"}}}, [parse_override("data.fields.x.role=input")], registry
    )
    assert table == {"data": {"fields": {"x": {"path": "i", "role": "input"}}}}


def test_items_of_lists_are_addressed_by_id_or_name(recipe_text, write, registry):
    recipe = load_recipe(
        write(recipe_text),
        registry,
        ["regularizers.early_stopping.patience=3", "regularizers.small.strength=0.5", "train.metrics.ece.bins=7"],
    )
    assert recipe.regularizers[0].component.patience == 3
    assert recipe.regularizers[1].component.strength == 0.5
    assert recipe.train.metrics[1].bins == 7


def test_an_item_keeps_its_address_while_its_name_is_overridden(recipe_text, write, registry):
    overrides = ["regularizers.small.name=early_stopping", "regularizers.small.patience=3"]
    for order in (overrides, overrides[::-1]):
        named = load_recipe(write(recipe_text), registry, order).regularizers[1]
        assert (named.id, named.component.name, named.component.patience) == ("small", "early_stopping", 3)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "regularizers.l2.strength=1",
            "--set regularizers.l2.strength: regularizers has no 'l2'; there are early_stopping, small; write it there",
        ),
        ("regularizers.smal.strength=1", "regularizers has no 'smal'; did you mean 'small'?; there are early_stopping"),
        ("data.preprocess.scale.low=1", "data.preprocess has no 'scale'; there are standardize"),
        ("regularizers.small=l2", "set one of its parameters, such as regularizers.small.…, or the whole list"),
        ("train.epochs.most=3", "train.epochs is 20, which has no keys of its own"),
        ("model.hidden.first=3", "model.hidden has no 'first'; its items have no names: set the whole list"),
    ],
)
def test_what_is_not_there_cannot_be_set(override, message, recipe_text, write, registry):
    with pytest.raises(RecipeError, match=re.escape(message)):
        load_recipe(write(recipe_text), registry, [override])


def test_what_the_recipe_leaves_to_the_task_cannot_be_addressed(registry):
    small = {"data": {"path": "d.h5"}, "model": {"architecture": "net"}}
    for override in ("train.metrics.ece.bins=3", "regularizers.l2.strength=1"):
        where = override.rpartition(".")[0].rpartition(".")[0]
        with pytest.raises(RecipeError, match=rf"has no '\w+'; the recipe has no {where}; write it there first"):
            load_recipe(small, registry, [override])


def test_an_item_that_is_there_twice_cannot_be_addressed(registry):
    override = parse_override("regularizers.l2.strength=1")
    table, origins, (problem,) = apply_overrides({"regularizers": ["l2", "l2"]}, [override], registry)
    assert problem.message == "regularizers has 'l2' 2 times: give each an id of its own"
    assert (table, origins) == ({"regularizers": ["l2", "l2"]}, {})


def test_an_override_may_be_given_taken_apart(recipe_text, write, registry):
    override = Override("name", ("name",), "007")
    assert load_recipe(write(recipe_text), registry, [override, "seed=1"]).name == "007"


def test_the_last_of_equal_keys_wins(registry):
    overrides = [parse_override(text) for text in ("seed=1", "seed=2")]
    assert apply_overrides({}, overrides, registry)[0] == {"seed": 2}


OVERRIDES = {
    "seed": ["1", "2"],
    "train.epochs": ["30", "50"],
    "train.optimizer": ["adam", "adamw", '{ name = "adam", lr = 0.1 }'],
    "train.optimizer.lr": ["0.5", "0.25"],
    "train.optimizer.name": ["adam", "adamw"],
    "train.metrics": ['["accuracy", "ece"]'],
    "train.metrics.ece.bins": ["3"],
    "model.architecture": ["net"],
    "model.activation": ["leaky"],
    "model.activation.name": ["leaky"],
    "model.activation.slope": ["0.5"],
    "regularizers.small.strength": ["0.5"],
    "regularizers.early_stopping.id": ["stop"],
    "regularizers.early_stopping.patience": ["2"],
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_overrides_of_different_keys_commute(data, recipe_text, registry):
    table = tomllib.loads(recipe_text)
    keys = data.draw(st.lists(st.sampled_from(list(OVERRIDES)), unique=True, min_size=2, max_size=5))
    texts = [f"{key}={data.draw(st.sampled_from(OVERRIDES[key]))}" for key in keys]
    first = load_recipe(table, registry, texts)
    assert load_recipe(table, registry, data.draw(st.permutations(texts))) == first


def test_every_pair_of_overrides_commutes(recipe_text, registry):
    table = tomllib.loads(recipe_text)
    for pair in itertools.combinations([f"{key}={values[0]}" for key, values in OVERRIDES.items()], 2):
        overrides = [parse_override(text) for text in pair]
        assert apply_overrides(table, overrides, registry)[0] == apply_overrides(table, overrides[::-1], registry)[0]


def test_an_architecture_given_as_a_table_replaces_the_parameters_beside_it(registry, recipe_text, write):
    overrides = ["model.dropout=0.25", 'model.architecture={ name = "pair", first = 2 }', "model.init=uniform"]
    with pytest.raises(RecipeError, match="unknown key 'dropout'"):
        load_recipe(write(recipe_text), registry, overrides)
    model = load_recipe(write(recipe_text), registry, overrides[1:]).model
    assert (model.architecture.name, model.architecture.first, model.init.name) == ("pair", 2, "uniform")
    table = ['model.architecture={ name = "net" }', "model.dropout=0.25"]
    net = load_recipe(write(recipe_text), registry, reversed(table)).model.architecture
    assert (net.hidden, net.dropout) == ((16,), 0.25)
