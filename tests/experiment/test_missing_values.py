"""Missing values and categories from the file to artefacts: the model fills them in, whoever runs it."""

import h5py
import numpy as np
import onnxruntime
import pytest
import torch

import dlcli
from dlcli.errors import DataError

ROWS = 80
COLOURS = ["red", "green", "missing"]


def write(path, *, lacking, target=True):
    generator = np.random.default_rng(0)
    x = generator.lognormal(0, 1, size=(ROWS, 3)).astype("float32")
    colour = np.arange(ROWS) % 3
    if lacking:
        x[generator.random(x.shape) < 0.2] = np.nan
    with h5py.File(path, "w") as file:
        file["x"], file["colour"] = x, colour
        file["x"].attrs["role"] = "input"
        file["colour"].attrs.update(role="input", kind="categorical", classes=COLOURS)
        if target:
            file["y"] = (np.nan_to_num(x[:, 0]) + colour > 1.5).astype("int64")
            file["y"].attrs["classes"] = ["no", "yes"]
    return path


def recipe(*preprocess, **train):
    return {
        "name": "mixed",
        "data": {"path": "mixed.h5", "split": {"val": 0.3}, "preprocess": list(preprocess)},
        "model": {"architecture": "mlp", "hidden": [8]},
        "train": {"epochs": 2, **train},
    }


@pytest.mark.parametrize("format", ["onnx", "pt2"])
def test_artefacts_fill_in_what_is_missing(folder, format):
    write("mixed.h5", lacking=True)
    few = {"name": "quantile", "n_quantiles": 15}  # quick to record
    chain = [{"name": "impute", "indicator": True}, "log1p", few, "one_hot", "standardize"]
    run = dlcli.train(recipe(*chain)).run
    exported = dlcli.export(run, format=format)
    assert "missing values" in exported.parity.cases
    new = write("new.h5", lacking=True, target=False)
    with h5py.File(new, "r+") as file:
        file["x"][0] = np.nan
        rows = {name: torch.tensor(file[name][:9]) for name in ("x", "colour")}
    model = dlcli.load(run)
    wanted = model(*(rows[field.name] for field in model.inputs)).detach()
    assert wanted.isfinite().all()
    if format == "onnx":
        logits = onnxruntime.InferenceSession(exported.path).run(["logits"], {n: t.numpy() for n, t in rows.items()})[0]
        np.testing.assert_allclose(logits, wanted, rtol=1e-5, atol=1e-5)
    for source in (run, exported.path):
        output = folder / f"of-{source.name}.h5"
        dlcli.predict(source, new, output=output)
        with h5py.File(output) as file:
            np.testing.assert_allclose(file["probabilities"][:9], torch.sigmoid(wanted), atol=1e-5)
    assert np.isfinite(list(dlcli.evaluate(run, data="mixed.h5", split="all").metrics.values())).all()


def test_a_model_that_fills_in_nothing_refuses_what_is_missing(folder):
    write("mixed.h5", lacking=False)
    run = dlcli.train(recipe("one_hot", "standardize")).run
    new = write("new.h5", lacking=True)
    for source in (run, dlcli.export(run, format="safetensors").path):
        with pytest.raises(DataError, match=r"new\.h5: x: the value in row \d+, column \d is nan; .*with impute first"):
            dlcli.predict(source, new)
    with pytest.raises(DataError, match=r"NaN of 240 values.*let impute fill them in"):
        dlcli.evaluate(run, data=new, split="all")


def test_a_category_that_the_model_does_not_know(folder):
    write("mixed.h5", lacking=False)
    run = dlcli.train(recipe("one_hot", "standardize")).run
    new = write("new.h5", lacking=False)
    with h5py.File(new, "r+") as file:
        file["colour"][7] = 3
    with pytest.raises(DataError, match=r"new\.h5: colour: the value in row 7 is 3; the model knows 3 classes, 0 to 2"):
        dlcli.predict(run, new)
