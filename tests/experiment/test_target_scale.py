"""Regressions that train on scaled targets: everything that anybody sees is in the target's own units."""

import h5py
import numpy as np
import pytest
import torch
from sklearn.metrics import root_mean_squared_error
from sklearn.preprocessing import StandardScaler

import dlcli
from dlcli.data.target_scale import fit_target_scale
from dlcli.errors import RecipeError
from dlcli.experiment.prepare import prepare, read_data
from dlcli.recipe.load import load_recipe

ROWS = 200
UNITS = np.array([300.0, 0.01])
ORIGIN = np.array([5000.0, -2.0])


@pytest.fixture
def data(folder):
    """Two targets far from 0 and in units far apart; and the same, scaled by hand with figures of the training rows."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS, 4)).astype("float32")
    y = ((x @ generator.normal(size=(4, 2)) + 0.1 * generator.normal(size=(ROWS, 2))) * UNITS + ORIGIN).astype(
        "float32"
    )
    scaler = StandardScaler().fit(y[:120])
    for name, target in (("own.h5", y), ("by_hand.h5", scaler.transform(y).astype("float32"))):
        with h5py.File(folder / name, "w") as file:
            for split, rows in (("train", slice(0, 120)), ("val", slice(120, 160)), ("test", slice(160, ROWS))):
                file[f"{split}/x"], file[f"{split}/y"] = x[rows], target[rows]
                file[f"{split}/y"].attrs["names"] = ["price", "share"]
    return x, y, scaler


@pytest.fixture
def regression(recipe, data):
    def make(path="own.h5", *, scale=True, train=None, **tables):
        steps = {"epochs": 8, "optimizer": {"name": "sgd", "lr": 0.05}, **(train or {})}
        return recipe(data={"path": path, "scale_target": scale}, train=steps, **tables)

    return make


def test_it_is_training_on_targets_that_were_scaled_by_hand(data, regression, plugins):
    x, y, scaler = data
    inputs = torch.from_numpy(x[160:])
    by_hand = dlcli.train(regression("by_hand.h5", scale=False), plugins=plugins)
    scaled = dlcli.train(regression(), plugins=plugins)
    with torch.no_grad():
        expected = scaler.inverse_transform(dlcli.load(by_hand.run)(inputs).numpy())
        found = dlcli.load(scaled.run)(inputs).numpy()
    np.testing.assert_allclose((found - expected) / UNITS, 0, atol=2e-3)
    figures = dlcli.evaluate(scaled.run, plugins=plugins).metrics
    assert figures["rmse"] == pytest.approx(root_mean_squared_error(y[160:], found), rel=1e-4)
    assert figures["loss"] == pytest.approx(((found - y[160:]) ** 2).mean(), rel=1e-4)


@pytest.mark.parametrize(
    "loss",
    [
        {"name": "huber", "delta": 120.0},
        {"name": "epsilon_insensitive", "epsilon": 20.0, "squared": True},
        {"name": "quantile", "level": 0.8},
    ],
)
def test_losses_ask_the_same_in_the_targets_unit(data, regression, plugins, loss):
    """A linear model comes to the same answers on the scaled target as on the target as it is, by the same optimum."""
    x, y, _ = data
    with h5py.File("one.h5", "w") as file:
        file["train/x"], file["train/y"] = x, y[:, :1] - ORIGIN[:1].astype("float32")
    said = {}
    for scale, lr in ((True, 0.02), (False, 0.02 * UNITS[0])):
        train = {"epochs": 300, "batch_size": ROWS, "loss": loss, "select": "last", "monitor": "train_loss"}
        train |= {"optimizer": {"name": "adam", "lr": lr}, "schedule": "cosine"}
        table = regression("one.h5", scale=scale, train=train, model={"architecture": "linear"})
        table["data"]["split"] = {"val": 0.1, "test": 0.1}
        model = dlcli.load(dlcli.train(table, plugins=plugins).run)
        said[scale] = model(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(said[True] / UNITS[0], said[False] / UNITS[0], atol=0.02)


def test_one_number_in_the_unit_of_two_targets_is_refused(regression, plugins):
    told = (
        r"train.loss: huber: delta is one number in the target's unit, but data.scale_target divides each of 2 targets"
    )
    with pytest.raises(RecipeError, match=told):
        dlcli.train(regression(train={"loss": "huber"}), plugins=plugins)


def test_each_fold_is_scaled_by_its_own_training_rows(data, regression, plugins):
    _, y, _ = data
    checked = load_recipe(regression(train={"kfold": 4, "select": "last"}), plugins.registry)
    prepared = prepare(checked, plugins.registry)
    for member, fold in zip(prepared.plan.members, prepared.plan.folds, strict=True):
        own = StandardScaler().fit(y[fold.training])
        np.testing.assert_allclose(member.target_scale.offset, own.mean_, rtol=1e-6)
        np.testing.assert_allclose(member.target_scale.scale, own.scale_, rtol=1e-5)


@pytest.mark.parametrize("options", [{"seeds": 3}, {"kfold": 3}], ids=["seeds", "folds"])
def test_stacks_equal_members_alone(data, regression, plugins, options):
    inputs = torch.from_numpy(data[0][160:])
    alone, stacked = (
        dlcli.load(dlcli.train(regression(train=options), engine=engine, plugins=plugins).run)(inputs)
        for engine in ("loop", "vectorized")
    )
    torch.testing.assert_close(
        (alone - stacked) / torch.from_numpy(UNITS), torch.zeros(40, 2).double(), atol=2e-3, rtol=0
    )


def test_ensembles(data, regression, plugins):
    def rmse(run):
        return dlcli.evaluate(run, plugins=plugins).metrics["rmse"]

    bag = dlcli.ensemble(regression(ensemble={"strategy": "bagging", "members": 3}), plugins=plugins).run
    student = dlcli.ensemble(bag, strategy="distill", plugins=plugins).run
    single = rmse(dlcli.train(regression(), plugins=plugins).run)
    stacked = regression(ensemble={"strategy": "stacking", "members": 3}, train={"epochs": 30})
    stacked["data"]["preprocess"] = ["standardize"]
    assert rmse(dlcli.ensemble(stacked, plugins=plugins).run) < 1.5 * single
    assert rmse(bag) < 1.5 * single
    assert rmse(student) < 1.5 * single


def test_networks_that_add_up_are_refused(regression, plugins):
    given = regression(ensemble={"strategy": "gradient_boosting", "members": 3})
    with pytest.raises(RecipeError, match="each learns in the target's own units.*data.scale_target = false"):
        dlcli.ensemble(given, plugins=plugins)


def test_classes_are_not_scaled(recipe, plugins):
    given = recipe()
    given["data"] = {**given["data"], "scale_target": True}
    with pytest.raises(RecipeError, match="scaled for regression alone, but the target makes this a multiclass task"):
        dlcli.build(given, plugins=plugins)


def test_exports_answer_in_own_units(data, regression, plugins):
    run = dlcli.train(regression(train={"seeds": 2}), plugins=plugins).run
    exported = dlcli.export(run, format="pt2", plugins=plugins)
    expected = dlcli.load(run)(torch.from_numpy(data[0][160:]))
    program = torch.export.load(exported.path).module()
    found = program(torch.from_numpy(data[0][160:]))
    found = found[0] if isinstance(found, tuple) else found
    torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=1e-3)


def test_padding_and_targets_that_never_change(folder, recipe, plugins):
    generator = np.random.default_rng(1)
    y = generator.normal(3, 2, size=(30, 5, 2)).astype("float32")
    y[..., 1] = 7
    length = generator.integers(1, 6, 30)
    y[np.arange(5) >= length[:, None]] = 1e6
    with h5py.File("steps.h5", "w") as file:
        file["x"], file["y"], file["length"] = y * 2, y, length
        file["x"].attrs["kind"] = "sequence"
        file["length"].attrs.update({"role": "length", "of": "x"})
    given = {"name": "steps", "data": {"path": "steps.h5", "split": {"val": 0.2}}, "model": {"architecture": "mlp"}}
    dataset = read_data(load_recipe(given, plugins.registry))
    rows = dataset.splits["train"]
    scale = fit_target_scale(dataset, rows)
    valid = np.concatenate([y[row, : length[row], 0] for row in rows])
    assert scale.offset.tolist() == pytest.approx([valid.mean(), 7])
    assert scale.scale.tolist() == pytest.approx([valid.std(), 1])


def test_a_start_from_another_run_keeps_the_scale_of_its_own_targets(data, regression, plugins, folder):
    x, y, _ = data
    with h5py.File(folder / "other.h5", "w") as file:
        for split, rows in (("train", slice(0, 120)), ("val", slice(120, 160)), ("test", slice(160, ROWS))):
            file[f"{split}/x"], file[f"{split}/y"] = x[rows], y[rows] * 10 + 7
    first = dlcli.train(regression(), plugins=plugins)
    still = {"epochs": 1, "optimizer": {"name": "sgd", "lr": 1e-9}}
    second = dlcli.train(regression("other.h5", train=still), start_from=first.run, plugins=plugins)
    inputs = torch.from_numpy(x[160:])
    with torch.no_grad():
        before, after = (dlcli.load(done.run)(inputs).numpy() for done in (first, second))
    np.testing.assert_allclose((after - (before * 10 + 7)) / UNITS, 0, atol=2e-2)
