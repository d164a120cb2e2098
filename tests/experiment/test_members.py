import pytest
import torch

import dlcli
from dlcli.contracts.randomness import derive
from dlcli.contracts.task import Task
from dlcli.data.kfold import FoldPlan, cross_validation, fold_rows
from dlcli.errors import RecipeError
from dlcli.experiment.members import make_member, plan_members, recipe_folds
from dlcli.experiment.prepare import read_data
from dlcli.experiment.settle import settle, settled_loss
from dlcli.recipe.load import load_recipe
from dlcli.testing import tiny_dataset


@pytest.fixture
def settled(plugins, recipe):
    """A settled recipe and its data; keyword arguments replace tables."""

    def make(**tables):
        checked = load_recipe(recipe(**tables), plugins.registry)
        dataset = read_data(checked)
        return settle(checked, dataset, plugins.registry), dataset

    return make


def test_settling_again_changes_nothing(settled, plugins):
    recipe, dataset = settled()
    assert settle(recipe, dataset, plugins.registry) == recipe
    assert recipe.train.loss.name == "cross_entropy"
    assert [metric.name for metric in recipe.train.metrics] == ["accuracy"]


def test_an_unsettled_recipe_has_no_loss(plugins, recipe):
    with pytest.raises(ValueError, match="the recipe is not settled: it has no loss"):
        settled_loss(load_recipe(recipe(), plugins.registry))


def test_a_members_seed_comes_from_its_identity_alone(settled):
    for tables, identities in (
        ({}, [""]),
        ({"train": {"seeds": 3}}, ["seed-0", "seed-1", "seed-2"]),
        ({"train": {"kfold": 2}}, ["fold-0", "fold-1"]),
    ):
        members = plan_members(*settled(**tables)).members
        assert [member.identity for member in members] == identities
        assert [member.seed for member in members] == [derive(0, "member", identity) for identity in identities]


def test_folds_do_not_depend_on_what_else_a_recipe_says(settled):
    first, dataset = settled(train={"kfold": 3})
    other, _ = settled(train={"epochs": 99, "optimizer": {"name": "sgd", "lr": 1.0}}, model={"architecture": "linear"})
    folds = recipe_folds(first, dataset, 3)
    for one, two, three in zip(
        folds, recipe_folds(other, dataset, 3), cross_validation(dataset, FoldPlan(3), seed=0, inner=0.1), strict=True
    ):
        for part in ("held_out", "training", "validation"):
            assert torch.equal(getattr(one, part), getattr(two, part))
            assert torch.equal(getattr(one, part), getattr(three, part))


def test_seeds_share_their_preprocessing_and_folds_have_their_own(settled):
    seeds = plan_members(*settled(train={"seeds": 2})).members
    assert seeds[0].preprocessing is seeds[1].preprocessing
    recipe, dataset = settled(train={"kfold": 2})
    plan = plan_members(recipe, dataset)
    for member, fold in zip(plan.members, plan.folds, strict=True):
        assert torch.equal(member.training_rows, fold.training)
        mean = member.preprocessing["x"][0].state["mean"]
        assert mean.item() == pytest.approx(dataset.tensors["x"][fold.training].double().mean().item(), rel=1e-6)


def test_a_member_without_validation_rows_is_judged_by_its_training_loss(settled):
    recipe, dataset = settled(train={"monitor": "val_accuracy"})
    member = make_member(recipe, dataset, "trial-1", fold_rows(dataset), None)
    assert (member.monitor, member.direction) == ("train_loss", "min")
    member = make_member(recipe, dataset, "trial-1", dataset.splits["train"], dataset.splits["val"])
    assert (member.monitor, member.direction) == ("val_accuracy", "max")


@pytest.mark.parametrize(
    ("model", "refused"),
    [
        ({"architecture": "mlp", "hidden": [8], "norm": "batch"}, True),
        ({"architecture": "mlp", "hidden": [8], "norm": "layer"}, False),
        ({"architecture": "cnn", "channels": [4], "hidden": [8], "norm": "batch"}, True),
        ({"architecture": "cnn", "channels": [4], "hidden": [], "norm": "batch"}, False),
    ],
)
def test_batches_of_one_row_are_refused_where_a_norm_cannot_take_them(settled, model, refused):
    """Each channel of an image has many values, which is enough; a row of features has one."""
    checked, dataset = settled(model=model, train={"epochs": 1, "batch_size": 1})
    if not refused:
        assert plan_members(checked, dataset).members[0].batch_size == 1
        return
    with pytest.raises(RecipeError, match=r"train\.batch_size: batch normalization needs at least 2 rows"):
        plan_members(checked, dataset)


@pytest.mark.parametrize(
    ("regularizers", "tables", "message"),
    [
        (["cutmix"], {"data": {"path": "tiny.h5"}}, "cutmix changes images, but no input is one"),
        (["activity_l1"], {"model": {"architecture": "logistic"}}, "activity_l1 works on outputs of modules named"),
        ([{"name": "max_norm", "select": "no.*"}], {}, r"selector 'no\.\*' of the regularizer max_norm matches no"),
        (["mixup", "cutmix"], {}, "cutmix comes after mixup, which mixes rows"),
        (
            ["gap_stopping"],
            {"train": {"rows": "train+val", "monitor": "train_loss"}},
            "gap.* there are no validation rows",
        ),
    ],
)
def test_a_regularizer_without_anything_to_work_on_is_told_before_a_run_is_there(
    folder, recipe, plugins, regularizers, tables, message
):
    tiny_dataset(folder / "tiny.h5", "features")
    given = recipe(**{"regularizers": regularizers, "train": {"epochs": 1}, **tables})
    with pytest.raises(RecipeError, match=rf"regularizers: .*{message}"):
        dlcli.train(given, plugins=plugins)
    assert [path.name for path in folder.iterdir()] == ["tiny.h5"]


def test_scaled_targets_cannot_be_compared(folder, plugins, recipe):
    tiny_dataset(folder / "tiny.h5", "features", task=Task.REGRESSION, rows=60)
    data = {"path": str(folder / "tiny.h5")}
    given = recipe(data=data, regularizers=["gap_stopping"], train={"epochs": 1})
    assert dlcli.build(given, plugins=plugins)
    with pytest.raises(RecipeError, match=r"regularizers: .*set data\.scale_target = false"):
        dlcli.build({**given, "data": {**data, "scale_target": True}}, plugins=plugins)


def test_build_says_what_regularizers_do_and_where(folder, recipe, plugins):
    listed = ["l1", {"name": "max_norm", "select": "head.*"}, "activity_l1", "mixup", "early_stopping"]
    found = dlcli.build(recipe(regularizers=listed), plugins=plugins).as_json()["regularized"]
    assert {name: (*own["methods"], own["numbers"]) for name, own in found.items()} == {
        "l1": ("penalty", 64 * 16 + 16 * 10),
        "max_norm": ("project", 16 * 10 + 10),
        "activity_l1": ("activity", 0),
        "mixup": ("mix", 0),
        "early_stopping": ("stop", 0),
    }
    assert found["max_norm"]["parameters"] == ("head.weight", "head.bias")
    assert found["activity_l1"]["modules"] == ("blocks.0.activation",)
