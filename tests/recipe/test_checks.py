import re

import pytest

from dlcli.errors import RecipeError
from dlcli.recipe.load import load_recipe

SMALL = {"data": {"path": "d.h5"}, "model": {"architecture": "net"}}


def problems(recipe, registry):
    with pytest.raises(RecipeError) as caught:
        load_recipe({**SMALL, **recipe}, registry)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("monitor", ["train_loss", "val_loss", "val_accuracy", "val_ece"])
def test_a_metric_of_the_recipe_may_be_monitored(monitor, registry):
    train = {"metrics": ["accuracy", {"name": "fakes:ece"}], "monitor": monitor}
    assert load_recipe({**SMALL, "train": train}, registry).train.monitor == monitor


def test_any_metric_may_be_monitored_where_the_task_chooses_them(registry):
    assert load_recipe({**SMALL, "train": {"monitor": "val_anything"}}, registry).train.monitor == "val_anything"


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            {"metrics": ["accuracy"], "monitor": "val_acuracy"},
            "nothing is called 'val_acuracy'; did you mean 'val_accuracy'?; expected train_loss",
        ),
        ({"metrics": ["accuracy"], "monitor": "val_ece"}, "expected train_loss, val_loss, val_accuracy"),
        ({"metrics": ["accuracy"], "monitor": "train_accuracy"}, "nothing is called 'train_accuracy'"),
        ({"monitor": "accuracy"}, "expected train_loss, val_loss, or val_ and the name of a metric"),
        ({"metrics": [], "monitor": "val_ece"}, "expected train_loss, val_loss, or val_ and the name of a metric"),
    ],
)
def test_nothing_else_may_be_monitored(train, message, registry):
    (problem,) = problems({"train": train}, registry)
    assert re.match(rf"train\.monitor: .*{re.escape(message)}", problem)


def test_a_metric_may_not_be_there_twice_under_whatever_name(registry):
    assert problems({"train": {"metrics": ["ece", "accuracy", {"name": "fakes:ece", "bins": 3}]}}, registry) == [
        "train.metrics[2]: the metric 'ece' is there twice: give one of them an id of its own, such as id = \"ece_2\""
    ]


def test_metrics_with_ids_of_their_own_may_be_there_twice(registry):
    metrics = ["ece", {"name": "ece", "bins": 3, "id": "ece_3"}]
    recipe = load_recipe({**SMALL, "train": {"metrics": metrics, "monitor": "val_ece_3"}}, registry)
    assert [metric.label for metric in recipe.train.metrics] == ["ece", "ece_3"]
    assert (
        "'loss' is what the loss is called"
        in problems({"train": {"metrics": [{"name": "ece", "id": "loss"}]}}, registry)[0]
    )
    assert (
        "'ece' is there twice"
        in problems({"train": {"metrics": [*metrics[:1], {"name": "accuracy", "id": "ece"}]}}, registry)[0]
    )


def test_a_regularizer_that_is_there_twice_needs_an_id(registry):
    message = "regularizers[1]: 'l2' is there twice: give one of them an id of its own, such as id = \"l2_2\""
    assert problems({"regularizers": ["l2", {"name": "fakes:l2"}, {"name": "l2", "id": "other"}]}, registry) == [
        message
    ]
    assert problems({"regularizers": [{"name": "early_stopping", "id": "l2"}, "l2"]}, registry) == [message]
    ids = load_recipe({**SMALL, "regularizers": ["l2", {"name": "l2", "id": "other"}]}, registry).regularizers
    assert [named.id for named in ids] == ["l2", "other"]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            {"epochs": 5, "schedule": {"name": "constant", "warmup_epochs": 5}},
            "a warm-up of 5 epochs leaves nothing of train.epochs = 5: shorten it or train longer",
        ),
        ({"schedule": {"name": "constant", "warmup_epochs": 30.5}}, "a warm-up of 30.5 epochs leaves nothing of train"),
        ({"epochs": 4, "schedule": "cosine"}, "a warm-up of 4.0 epochs leaves nothing of train.epochs = 4"),
    ],
)
def test_a_warmup_must_be_shorter_than_training_also_by_default(train, message, registry):
    (problem,) = problems({"train": train}, registry)
    assert problem.startswith(f"train.schedule.warmup_epochs: {message}")


def test_a_warmup_shorter_than_training_is_fine(registry):
    assert load_recipe({**SMALL, "train": {"epochs": 5, "schedule": "cosine"}}, registry).train.epochs == 5


def test_validation_and_test_rows_leave_some_for_training(registry):
    assert problems({"data": {"path": "d.h5", "split": {"val": 0.5, "test": 0.5}}}, registry) == [
        "data.split: val = 0.5 and test = 0.5 leave no rows to train on: lower one of them"
    ]


def test_contradictions_are_told_beside_all_other_problems(registry):
    found = problems(
        {
            "seed": "x",
            "train": {"epochs": 3, "batch_size": 0, "metrics": ["ece", "ece"], "monitor": "x", "schedule": "cosine"},
            "regularizers": ["l2", "l2"],
        },
        registry,
    )
    assert sorted(problem.partition(":")[0] for problem in found) == [
        "regularizers[1]",
        "seed",
        "train.batch_size",
        "train.metrics[1]",
        "train.monitor",
        "train.schedule.warmup_epochs",
    ]


def test_values_of_a_wrong_type_are_told_once(registry):
    wrong = {"train": {"epochs": "x", "metrics": 3, "monitor": 4, "schedule": 5}, "regularizers": 6}
    keys = [problem.partition(":")[0] for problem in problems(wrong, registry)]
    assert sorted(keys) == ["regularizers", "train.epochs", "train.metrics", "train.monitor", "train.schedule"]


def test_seeds_and_folds_do_not_go_together(registry):
    (problem,) = problems({"train": {"seeds": 3, "kfold": 5}}, registry)
    assert problem == (
        "train.kfold: 5 folds and 3 seeds do not go together: a fold has one seed, and seeds share one split; "
        "leave out train.seeds (--seeds 1) or train.kfold"
    )
    assert load_recipe({**SMALL, "train": {"seeds": 1, "kfold": 5}}, registry).train.kfold == 5


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            {"compile": True, "activation_checkpointing": True},
            "train.compile: a compiled network decides .*: set it to false, or train.activation",
        ),
        (
            {"accumulate": 4, "engine": "vectorized"},
            r"train.engine: vectorized, but a stack takes a step on each batch \(train.accumulate = 4\): take auto or",
        ),
        ({"precision": "float16", "engine": "vectorized"}, "train.engine: vectorized, but a stack computes in float32"),
        ({"compile": True, "engine": "vectorized"}, "train.engine: vectorized, but a stack is captured in its own way"),
        (
            {"activation_checkpointing": True, "engine": "vectorized"},
            "train.engine: vectorized, but a stack keeps all activations",
        ),
        ({"accumulate": 0}, r"train.accumulate: .*≥ 1"),
        ({"accumulate": "4", "compile": True, "activation_checkpointing": True}, "train.accumulate: .*whole number"),
        ({"precision": "half"}, r"train.precision: .*float32.*bfloat16.*float16"),
        ({"sampling": "balanced"}, r"train.sampling: .*shuffled.*class_balanced"),
    ],
)
def test_switches_that_do_not_go_together(train, message, registry):
    (problem,) = problems({"train": train}, registry)
    assert re.match(message, problem)


def test_switches_that_go_together(registry):
    train = {"accumulate": 4, "precision": "bfloat16", "compile": True, "deterministic": True, "engine": "loop"}
    assert load_recipe({**SMALL, "train": train}, registry).train.precision == "bfloat16"
    train = {"sampling": "class_balanced", "deterministic": True, "engine": "vectorized"}
    assert load_recipe({**SMALL, "train": train}, registry).train.sampling == "class_balanced"
