"""Input layers in front of an architecture: alone, stacked, searched, combined and exported."""

import h5py
import numpy as np
import onnxruntime
import pytest
import torch

import dlcli
from dlcli.errors import RecipeError
from dlcli.experiment.prepare import read_data
from dlcli.recipe.load import load_recipe

ROWS = 300


@pytest.fixture
def data(folder):
    """Two categories and three numbers; only a network that tells the categories apart can learn the target."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS, 3)).astype("float32")
    color, size = generator.integers(0, 5, ROWS), generator.integers(0, 3, ROWS)
    sign = np.array([3, -3, 3, -3, 3])[color]
    with h5py.File(folder / "mixed.h5", "w") as file:
        file["color"], file["size"], file["x"] = color, size, x
        file["y"] = ((sign * x[:, 0] + size) > 1).astype("int64")
        file["x"].attrs["role"] = "input"
        file["color"].attrs.update({"role": "input", "kind": "categorical", "classes": list("abcde")})
        file["size"].attrs.update({"role": "input", "kind": "categorical", "classes": list("sml")})
        file["y"].attrs["classes"] = ["no", "yes"]
    return tuple(map(torch.from_numpy, (color, size, x)))


@pytest.fixture
def mixed(recipe):
    def make(inputs, train=None, **tables):
        return recipe(
            data={"path": "mixed.h5", "preprocess": ["standardize"], "split": {"test": 0.2}},
            model={"architecture": "mlp", "hidden": [16], "inputs": inputs},
            train={"epochs": 15, "optimizer": {"name": "adam", "lr": 1e-2}, **(train or {})},
            **tables,
        )

    return make


@pytest.mark.parametrize("numbers", ["periodic", "piecewise_linear", None])
def test_stacked_members_are_members_alone_and_exports_are_runs(data, mixed, plugins, numbers):
    given = mixed(["embed", *([numbers] if numbers else [])], train={"seeds": 2})
    alone, stacked = (dlcli.train(given, engine=engine, plugins=plugins).run for engine in ("loop", "vectorized"))
    with torch.no_grad():
        expected = dlcli.load(alone)(*data)
        torch.testing.assert_close(dlcli.load(stacked)(*data), expected, rtol=1e-3, atol=1e-4)
    assert dlcli.evaluate(alone, plugins=plugins).metrics["accuracy"] > 0.85
    exported = dlcli.export(alone, format="onnx", plugins=plugins)
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    assert names == ["color", "size", "x"]
    logits = session.run(["logits"], {name: value.numpy() for name, value in zip(names, data, strict=True)})[0]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_the_edges_of_bins_are_of_training_rows(data, mixed, plugins):
    run = dlcli.train(mixed(["embed", {"name": "piecewise_linear", "bins": 4}]), plugins=plugins).run
    model = dlcli.load(run)
    chain = model.preprocess[2]
    rows = read_data(load_recipe(run / "recipe.toml", plugins.registry)).splits["train"]
    standard = chain[0](data[2])[rows].numpy()
    expected = np.quantile(standard.astype("float64"), [0, 0.25, 0.5, 0.75, 1], axis=0).T
    np.testing.assert_allclose(chain[1].edges, expected, rtol=1e-4, atol=1e-5)


def test_a_search_over_an_input_layer(data, mixed, plugins):
    space = {
        "model.inputs.periodic.scale": {"log_uniform": [0.01, 1.0]},
        "model.inputs.embed.width": {"choice": [1, 4]},
    }
    given = mixed(["embed", "periodic"], train={"epochs": 3}, tune={"trials": 4, "space": space})
    given["model"]["inputs"][0] = {"name": "embed", "width": 2}
    summary = dlcli.tune(given, plugins=plugins)
    assert dlcli.evaluate(summary.run, plugins=plugins).metrics["accuracy"] > 0.4


@pytest.mark.parametrize("strategy", ["voting", "stacking"])
def test_ensembles(data, mixed, plugins, strategy):
    given = mixed(["embed", "piecewise_linear"], ensemble={"strategy": strategy, "members": 3})
    run = dlcli.ensemble(given, plugins=plugins).run
    assert dlcli.evaluate(run, plugins=plugins).metrics["accuracy"] > 0.8


def test_layers_that_do_not_fit(data, mixed, plugins):
    with pytest.raises(RecipeError, match=r"model\.inputs: the input layers periodic and piecewise_linear both take x"):
        dlcli.build(mixed(["embed", "periodic", "piecewise_linear"]), plugins=plugins)
    without = mixed(["embed"])
    without["data"]["preprocess"] = ["standardize", "one_hot"]
    with pytest.raises(RecipeError, match=r"model\.inputs: the input layer embed takes none of color \(features\)"):
        dlcli.build(without, plugins=plugins)
    with pytest.raises(RecipeError, match=r'"one_hot" into data.preprocess, or put "embed" into model.inputs'):
        dlcli.build(mixed([]), plugins=plugins)
