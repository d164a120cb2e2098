"""Regression that answers a mean and a variance of every target, from the recipe to what others make of the run."""

import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dlcli.cli.app import run as command
from dlcli.errors import DataError, RecipeError, UsageError
from dlcli.experiment.ensemble import ensemble
from dlcli.experiment.evaluate import evaluate
from dlcli.experiment.evaluation.compare import compare
from dlcli.experiment.export import export
from dlcli.experiment.load import load
from dlcli.experiment.models.answering import Answering
from dlcli.experiment.predict import predict
from dlcli.experiment.train import train

HOUSING = Path(__file__).parents[2] / "recipes/housing"
ROWS = {"train": 400, "val": 60, "test": 200}
UNITS, ORIGIN = torch.tensor([300.0, 0.1]), torch.tensor([5000.0, -2.0])


def rows_of(split):
    with h5py.File("data.h5") as file:
        return torch.from_numpy(file[f"{split}/x"][:]), torch.from_numpy(file[f"{split}/y"][:])


def noise_of(x):
    """The true σ of both targets: that of the first hangs on the third input."""
    return torch.stack([torch.exp(x[..., 2]), torch.ones_like(x[..., 2])], -1) * UNITS * 0.5


def write(path, *, steps=()):
    generator = torch.Generator().manual_seed(0)
    with h5py.File(path, "w") as file:
        for split, count in ROWS.items():
            x = torch.randn(count, *steps, 4, generator=generator)
            y = torch.stack([x[..., 0] - x[..., 1], torch.sin(x[..., 0])], -1) * UNITS + ORIGIN
            y = y + noise_of(x) * torch.randn(y.shape, generator=generator)
            file[f"{split}/x"], file[f"{split}/y"] = x, y
            file[f"{split}/y"].attrs["names"] = ["price", "share"]
            if steps:
                file[f"{split}/x"].attrs["kind"] = "sequence"


@pytest.fixture
def regression(recipe, folder, plugins):
    write(folder / "data.h5")

    def make(*, loss="gaussian_nll", changes=None, data="data.h5", model=None, **options):
        steps = {"epochs": 12, "optimizer": {"name": "adam", "lr": 1e-2}, "loss": loss, **(changes or {})}
        tables = {"data": {"path": data, "scale_target": True}, "train": steps}
        return train(recipe(**tables, **({"model": model} if model else {})), plugins=plugins, **options)

    return make


def raw(run, x):
    with torch.no_grad():
        return load(run).raw_outputs(x).double()


def answers(run, x):
    with torch.no_grad():
        return Answering(load(run))(x)


def torchs(mean, deviation, target):
    return F.gaussian_nll_loss(mean.double(), target.double(), deviation.double() ** 2).item()


def test_means_and_deviations_are_those_of_the_data_and_every_figure_is_theirs(regression, plugins):
    done = regression(changes={"epochs": 25})
    x, y = rows_of("test")
    mean, deviation = answers(done.run, x)
    assert mean.shape == deviation.shape == (200, 2)
    torch.testing.assert_close(load(done.run)(x), mean)
    ratio = deviation / noise_of(x)
    assert ratio.median(dim=0).values.tolist() == pytest.approx([1, 1], abs=0.2)
    assert ((y - mean).abs() < deviation).float().mean().item() == pytest.approx(0.68, abs=0.06)
    constant = (y - mean).square().mean(dim=0).sqrt().expand(200, 2)
    expected = torchs(mean, deviation, y)
    assert expected < torchs(mean, constant, y) - 0.1
    told = evaluate(done.run, plugins=plugins)
    assert told.metrics["loss"] == pytest.approx(expected, rel=1e-5)
    assert told.metrics["rmse"] == pytest.approx((y - mean).square().mean(dim=0).sqrt().mean().item(), rel=1e-5)
    assert done.test == pytest.approx(told.metrics, rel=1e-5)
    assert told.intervals["loss"].low < expected < told.intervals["loss"].high
    assert [target.name for target in told.targets] == ["price", "share"]
    x, y = rows_of("val")
    assert done.best_score == pytest.approx(torchs(*answers(done.run, x), y), rel=1e-5)


@pytest.mark.parametrize("options", [{"seeds": 3}, {"kfold": 3}], ids=["seeds", "folds"])
def test_stacks_equal_members_alone(regression, options):
    alone, stacked = (regression(engine=engine, **options) for engine in ("loop", "vectorized"))
    x, _ = rows_of("test")
    for one, other in zip(alone.population.members, stacked.population.members, strict=True):
        outputs = [raw(f"{done.run}@{one.identity}", x) for done in (alone, stacked)]
        torch.testing.assert_close(outputs[0] / UNITS.repeat(2), outputs[1] / UNITS.repeat(2), atol=2e-3, rtol=1e-3)
        assert one.best_score == pytest.approx(other.best_score, abs=2e-3)


def test_what_folds_say_of_held_out_rows_is_means_and_their_loss_has_the_real_variance(regression):
    done = regression(kfold=3)
    with h5py.File(done.run / "oof.h5") as file:
        rows, folds = torch.from_numpy(file["rows"][:]), torch.from_numpy(file["fold"][:])
        outputs, target = torch.from_numpy(file["outputs"][:]), torch.from_numpy(file["target"][:])
    x, y = (torch.cat([rows_of(split)[place] for split in ("train", "val")])[rows] for place in (0, 1))
    torch.testing.assert_close(y, target)
    mean, deviation = torch.zeros_like(y), torch.zeros_like(y)
    for fold in range(3):
        mean[folds == fold], deviation[folds == fold] = answers(f"{done.run}@fold-{fold}", x[folds == fold])
    torch.testing.assert_close(outputs, mean)
    assert done.population.out_of_fold["loss"] == pytest.approx(torchs(mean, deviation, y), rel=1e-5)


def test_runs_vote_by_their_means_and_logarithms_and_spread_is_that_of_the_mixture(regression, recipe, plugins):
    one, other = regression(), regression(changes={"optimizer": {"name": "adam", "lr": 3e-3}})
    outcome = ensemble(one.run, other.run, plugins=plugins)
    x, y = rows_of("test")
    outputs = torch.stack([raw(done.run, x) for done in (one, other)])
    middle = outputs.mean(dim=0)
    assert outcome.test["loss"] == pytest.approx(torchs(middle[:, :2], (middle[:, 2:] / 2).exp(), y), rel=1e-5)
    mean, spread = answers(outcome.run, x)
    torch.testing.assert_close(mean.double(), middle[:, :2], rtol=1e-5, atol=1e-5)
    variance = outputs[..., 2:].exp().mean(dim=0) + outputs[..., :2].var(dim=0, correction=0)
    torch.testing.assert_close(spread.double(), variance.sqrt(), rtol=1e-4, atol=1e-5)
    model = load(outcome.run)
    with torch.no_grad():
        for _ in range(4):  # together, where that is quicker
            torch.testing.assert_close(model(x), mean)
    told = evaluate(outcome.run, plugins=plugins)
    assert told.metrics["loss"] == pytest.approx(outcome.test["loss"], rel=1e-5)
    assert told.spread["std"] == pytest.approx(outputs[..., :2].std(dim=0, correction=0).mean().item(), rel=1e-4)
    again = ensemble(outcome.run, one.run, plugins=plugins)
    assert answers(again.run, x)[0].shape == (200, 2)
    with pytest.raises(UsageError, match="stacking compares members' outputs with targets, but of gaussian_nll there"):
        ensemble(one.run, other.run, overrides=['ensemble.strategy="stacking"'], plugins=plugins)
    plain = regression(loss="mse")
    with pytest.raises(UsageError, match="has the loss mse, but .* has gaussian_nll: models can be combined"):
        ensemble(one.run, plain.run, plugins=plugins)
    with pytest.raises(UsageError, match="gaussian_nll takes 2 outputs a target, and the second was trained with mse"):
        compare(one.run, plain.run, plugins=plugins)
    judged = compare(plain.run, one.run, plugins=plugins).metrics
    assert judged[1]["loss"] == pytest.approx((y - answers(one.run, x)[0]).square().mean().item(), rel=1e-5)
    assert compare(one.run, other.run, plugins=plugins).metrics[0]["loss"] == pytest.approx(one.test["loss"], rel=1e-5)


def test_bags_are_trained_and_boosting_is_refused(recipe, regression, plugins):
    steps = {"epochs": 3, "loss": "gaussian_nll", "optimizer": {"name": "adam", "lr": 1e-2}}
    tables = recipe(data={"path": "data.h5"}, train=steps)
    outcome = ensemble({**tables, "ensemble": {"strategy": "bagging", "members": 3}}, plugins=plugins)
    with h5py.File(outcome.run / "oob.h5") as file:
        assert file["outputs"].shape == file["target"].shape
    assert math.isfinite(outcome.unseen["loss"])
    for strategy in ("gradient_boosting", "adaboost"):
        with pytest.raises(UsageError, match=f"{strategy} compares members' outputs with targets"):
            ensemble({**tables, "ensemble": {"strategy": strategy, "members": 2}}, plugins=plugins)


@pytest.mark.parametrize("format", ["safetensors", "onnx"])
def test_exports_give_the_deviation_beside_the_mean(regression, plugins, folder, format):
    if format == "onnx":
        pytest.importorskip("onnxruntime")
    done = regression(seeds=2, changes={"epochs": 2})
    suffix = "" if format == "safetensors" else f".{format}"
    export(done.run, format=format, output=folder / f"model{suffix}", plugins=plugins)
    found = []
    for number, source in enumerate((done.run, folder / f"model{suffix}")):
        predict(source, "data.h5", output=folder / f"{number}.h5", plugins=plugins)
        with h5py.File(folder / f"{number}.h5") as file:
            found.append({name: file[name][:] for name in ("prediction", "spread")})
    mean, spread = answers(done.run, rows_of("train")[0])
    for one in found:
        np.testing.assert_allclose(one["prediction"][:400], mean, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(one["spread"][:400], spread, rtol=1e-3, atol=1e-4)


def test_answers_at_every_position(regression, plugins):
    write("steps.h5", steps=(5,))
    done = regression(data="steps.h5", model={"architecture": "gru", "hidden": 8}, changes={"epochs": 2})
    with h5py.File("steps.h5") as file:
        x, y = torch.from_numpy(file["test/x"][:]), torch.from_numpy(file["test/y"][:])
    mean, deviation = answers(done.run, x)
    assert mean.shape == deviation.shape == y.shape == (200, 5, 2)
    assert done.test["loss"] == pytest.approx(torchs(mean, deviation, y), rel=1e-5)
    assert evaluate(done.run, plugins=plugins).metrics["loss"] == pytest.approx(done.test["loss"], rel=1e-5)


def test_on_housing_it_beats_the_best_single_variance_and_knows_how_far_off_it_is(folder, plugins):
    table = [str(HOUSING / "housing.csv"), "-o", "housing.h5", "--target", "-1", "--test", "0.2", "-q"]
    assert command(["data", "import", *table]) == 0
    done = train(HOUSING / "gaussian.toml", overrides=['data.path="housing.h5"'], plugins=plugins)
    with h5py.File("housing.h5") as file:
        x, y = torch.from_numpy(file["test/x"][:]), torch.from_numpy(file["test/y"][:]).float().reshape(-1, 1)
    mean, deviation = answers(done.run, x)
    assert done.test["loss"] == pytest.approx(torchs(mean, deviation, y), rel=1e-5)
    for figures in (done.val, done.test):
        best_single = 0.5 * (math.log(figures["rmse"] ** 2) + 1)
        assert figures["loss"] < best_single - 0.1
    within = ((y - mean).abs() < deviation).float().mean().item()
    print(f"{within:.1%} of {len(y)} test rows within one σ")
    assert 0.6 < within < 0.85


def test_it_starts_from_a_run_with_another_loss_but_for_the_head(regression):
    plain = regression(loss="mse")
    done = regression(start_from=plain.run, changes={"epochs": 1, "optimizer": {"name": "adam", "lr": 1e-9}})
    started, before = load(done.run).network.state_dict(), load(plain.run).network.state_dict()
    fitting = {name for name in before if started[name].shape == before[name].shape}
    assert len(fitting) == 2  # the hidden layer's
    for name in fitting:
        torch.testing.assert_close(started[name], before[name])
    again = regression(start_from=done.run, changes={"epochs": 1, "optimizer": {"name": "adam", "lr": 1e-9}})
    x, _ = rows_of("test")
    torch.testing.assert_close(raw(again.run, x), raw(done.run, x), rtol=1e-3, atol=1e-3)


def test_it_is_for_regression(recipe, plugins, folder):
    tables = recipe(train={"epochs": 1, "loss": "gaussian_nll"})
    with pytest.raises(RecipeError, match="gaussian_nll is for regression, but the target makes this a multiclass"):
        train(tables, plugins=plugins)


def test_a_model_whose_outputs_do_not_fit_its_loss_is_damaged(regression):
    done = regression(changes={"epochs": 1})
    path = done.run / "model/model.json"
    table = json.loads(path.read_text())
    assert table["io"]["outputs"] == 4
    table["loss"] = {"name": "dlcli:mse"}
    path.write_text(json.dumps(table))
    with pytest.raises(DataError, match="regression with 4 outputs"):
        load(done.run)
