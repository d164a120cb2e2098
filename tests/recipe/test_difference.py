import pytest

from dlcli.recipe.difference import differences
from dlcli.recipe.load import load_recipe
from dlcli.recipe.resolved import resolve


def test_a_recipe_does_not_differ_from_itself(recipe_text, write, registry):
    table = resolve(load_recipe(write(recipe_text), registry), registry)
    assert differences(table, table) == []


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (["train.epochs=40"], ["train.epochs: 20 → 40"]),
        (["seed=4", "model.hidden=[8]"], ["seed: 3 → 4", "model.hidden: [128, 64] → [8]"]),
        (["train.loss=cross_entropy"], ['train.loss: nothing → { name = "fakes:cross_entropy", smoothing = 0.0 }']),
        (["train.optimizer.lr=0.5"], ["train.optimizer.lr: 0.001 → 0.5"]),
        (
            ["train.optimizer=adamw"],
            [
                'train.optimizer.name: "fakes:adam" → "fakes:adamw"',
                "train.optimizer.weight_decay: 0.0 → 0.01",
                "train.optimizer.betas: [0.9, 0.999] → nothing",
            ],
        ),
        (
            ["regularizers.small.strength=1", "regularizers.early_stopping.patience=6"],
            ["regularizers.early_stopping.patience: 5 → 6", "regularizers.small.strength: 0.0001 → 1.0"],
        ),
        (
            ['regularizers=[{name="early_stopping", patience=7}]'],
            [
                'regularizers: ["early_stopping", "small"] → ["early_stopping"]',
                "regularizers.early_stopping.patience: 5 → 7",
            ],
        ),
        (["train.metrics.ece.bins=9"], ["train.metrics.ece.bins: 5 → 9"]),
        (
            ['train.metrics=["ece", "accuracy"]', "train.metrics.ece.bins=5"],
            ['train.metrics: ["accuracy", "ece"] → ["ece", "accuracy"]'],
        ),
        (["data.split.val=0.3"], ["data.split.val: 0.2 → 0.3"]),
    ],
)
def test_each_key_that_differs_has_a_line(overrides, lines, recipe_text, write, registry):
    path = write(recipe_text)
    first = resolve(load_recipe(path, registry), registry)
    second = resolve(load_recipe(path, registry, overrides), registry)
    assert differences(first, second) == lines


def test_a_list_of_components_without_addresses_of_their_own_is_compared_whole():
    first = {"data": {"preprocess": [{"name": "fakes:scale"}, {"name": "fakes:scale"}]}}
    second = {"data": {"preprocess": [{"name": "fakes:scale"}]}}
    assert differences(first, second) == [
        'data.preprocess: [{ name = "fakes:scale" }, { name = "fakes:scale" }] → [{ name = "fakes:scale" }]'
    ]
