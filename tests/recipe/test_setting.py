import time

import pytest

from dlcli.errors import RecipeError
from dlcli.plugins import load_plugins
from dlcli.recipe.load import load_recipe
from dlcli.recipe.resolved import resolve
from dlcli.recipe.setting import apply_setting, trial_recipe

TABLE = {
    "name": "mine",
    "data": {"path": "/x.h5"},
    "model": {"architecture": "mlp", "hidden": [7], "init": None},
    "train": {"optimizer": {"name": "adamw", "weight_decay": 0.5}},
    "regularizers": [{"name": "l2"}],
    "tune": {"space": {"train.optimizer.lr": {"uniform": [0.1, 0.2]}}},
}
del TABLE["model"]["init"]


@pytest.fixture(scope="module")
def registry():
    return load_plugins(third_parties=False).registry


@pytest.fixture(scope="module")
def base(registry):
    return resolve(load_recipe(TABLE, registry), registry)


SETTINGS = [
    {},
    {"train.optimizer.lr": 0.125, "train.batch_size": 3},
    {"train.optimizer": "sgd", "train.optimizer.momentum": 0.5},
    {"train.optimizer.momentum": 0.5, "train.optimizer": {"name": "sgd", "nesterov": True}},
    {"model.hidden": (1, 2), "model.activation": {"name": "leaky_relu", "slope": 0.2}},
    {"regularizers.l2.strength": 0.25, "data.preprocess": ("standardize",)},
    {"model.architecture": "mlp"},
    {"model.architecture": "linear"},
    {"model.hidden": (5,), "model.architecture": {"name": "mlp", "dropout": 0.5}},
    {"regularizers": ({"name": "l2", "strength": 1.0}, {"name": "early_stopping"})},
]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_a_recipe_and_its_resolved_form_give_the_same_trial(registry, base, setting):
    written = trial_recipe(TABLE, registry, setting)
    assert written == trial_recipe(base, registry, setting)
    assert written.tune is None
    assert trial_recipe(resolve(written, registry), registry, {}) == written


@pytest.mark.parametrize("setting", SETTINGS[1:6], ids=str)
def test_a_trial_is_the_recipe_with_these_keys_set(registry, setting):
    def toml(value):
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + "}"
        if isinstance(value, tuple):
            return "[" + ", ".join(map(toml, value)) + "]"
        return f'"{value}"' if isinstance(value, str) else str(value).lower()

    plain = {key: section for key, section in TABLE.items() if key != "tune"}
    set_by_hand = load_recipe(plain, registry, [f"{key}={toml(value)}" for key, value in setting.items()])
    assert trial_recipe(TABLE, registry, setting) == set_by_hand


def test_another_architecture_comes_with_its_own_parameters(registry, base):
    assert trial_recipe(base, registry, {"model.architecture": "mlp"}).model.architecture.hidden == (7,)
    assert trial_recipe(base, registry, {"model.architecture": "linear"}).model.architecture.name == "linear"
    table = {"name": "mlp", "dropout": 0.5}
    model = trial_recipe(base, registry, {"model.architecture": table, "model.activation": "tanh"}).model
    assert (model.architecture.hidden, model.architecture.dropout) == ((128, 128), 0.5)
    assert model.architecture.activation.name == "tanh"


def test_the_table_is_left_as_it_is(registry, base):
    before = repr(base)
    changed, paths = apply_setting(base, {"regularizers.l2.strength": 1.0}, registry)
    assert repr(base) == before
    assert changed["regularizers"][0]["strength"] == 1.0
    assert paths == {"regularizers.l2.strength": ("regularizers", 0, "strength")}


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        (
            {"regularizers.l3.strength": 1.0},
            r'tune.space "regularizers.l3.strength": .*has no \'l3\'; there are l2; write it there first',
        ),
        (
            {"train.optimizer": "adam", "train.optimizer.momentum": 0.5},
            r'tune.space "train.optimizer.momentum": train.optimizer.momentum: unknown key \'momentum\'; allowed here',
        ),
        ({"model.dropout": 1.5}, r'tune.space "model.dropout": model.dropout: expected a number ≥ 0 and < 1, got 1.5'),
        (
            {"train.schedule": {"name": "cosine", "warmup_epochs": 9}, "train.epochs": 5},
            r'tune.space "train.schedule": train.schedule.warmup_epochs: a warm-up of 9 epochs leaves nothing',
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_their_keys(registry, base, setting, match):
    with pytest.raises(RecipeError, match=match):
        trial_recipe(base, registry, setting)


def test_a_trials_recipe_takes_two_milliseconds_at_most(registry, base):
    setting = {key: value for each in SETTINGS[1:3] for key, value in each.items()}
    trial_recipe(base, registry, setting)

    def seconds():
        begin = time.process_time()
        for _ in range(50):
            trial_recipe(base, registry, setting)
        return (time.process_time() - begin) / 50

    assert min(seconds() for _ in range(3)) < 0.002
