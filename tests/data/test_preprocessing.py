"""Fitting preprocessors: on training rows only, in chunks, one after another."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from dlcli import Field, Preprocessor
from dlcli.builtin.preprocessors.impute import Impute
from dlcli.builtin.preprocessors.scale import Scale
from dlcli.builtin.preprocessors.standardize import Standardize
from dlcli.data.preprocessing import fit_preprocessing, input_output, preprocess
from dlcli.data.read import read_dataset
from dlcli.errors import DataError

Write = Callable[..., Path]
VALUES = np.random.default_rng(1).normal(5, 3, size=(60, 4))


class OneHot(Preprocessor):
    """Turns a category into columns; stands for preprocessors that change shape and kind."""

    name: ClassVar[str] = "one_hot_for_test"

    def accepts(self, field: Field) -> bool:
        return field.kind == "categorical"

    def fit(self, rows: Tensor) -> dict[str, Tensor]:
        return {"count": rows.max() + 1}

    def merge(self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"count": torch.maximum(first["count"], second["count"])}

    def apply(self, state: Mapping[str, Tensor], batch: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(batch.long(), int(state["count"])).float()

    def output(self, field: Field) -> Field:
        return replace(field, kind="features", shape=(len(field.classes),), dtype="float32")


@pytest.mark.parametrize("chunk_bytes", [1, 333, 2**26])
def test_only_given_rows_are_seen_whatever_the_chunks(write: Write, monkeypatch, chunk_bytes: int) -> None:
    monkeypatch.setattr("dlcli.data.preprocessing.CHUNK_BYTES", chunk_bytes)
    dataset = read_dataset(write({"x": VALUES, "y": np.ones(60)}))
    rows = dataset.splits["train"]
    fitted = fit_preprocessing(dataset, [Standardize()], rows)
    assert list(fitted) == ["x"]
    state = fitted["x"][0].state
    assert {value.dtype for value in state.values()} == {torch.float32}
    oracle = StandardScaler().fit(VALUES[rows])
    np.testing.assert_allclose(state["mean"], oracle.mean_, rtol=1e-6)
    got = preprocess(fitted["x"], "features", dataset.tensors["x"])
    np.testing.assert_allclose(got, oracle.transform(VALUES), atol=1e-5)
    assert got.dtype == torch.float32
    spoilt = replace(dataset, tensors={**dataset.tensors, "x": dataset.tensors["x"].clone()})
    spoilt.tensors["x"][dataset.splits["val"]] = 1e6
    again = fit_preprocessing(spoilt, [Standardize()], rows)["x"][0].state
    assert all(again[name].equal(state[name]) for name in state)


def test_later_ones_are_fitted_on_the_output_of_earlier_ones(write: Write) -> None:
    dataset = read_dataset(write({"x": VALUES, "y": np.ones(60)}), val=0)
    rows = dataset.splits["train"]
    fitted = fit_preprocessing(dataset, [Scale(low=2.0, high=4.0), Standardize()], rows)["x"]
    assert [step.component.name for step in fitted] == ["scale", "standardize"]
    first = fitted[0](dataset.tensors["x"])
    torch.testing.assert_close(fitted[1].state["mean"], first.mean(0))
    torch.testing.assert_close(first.amin(0), torch.full((4,), 2.0))
    torch.testing.assert_close(first.amax(0), torch.full((4,), 4.0))


def test_padding_is_not_fitted(write: Write) -> None:
    lengths = np.arange(60) % 5 + 1
    steps = np.random.default_rng(0).normal(2, 3, size=(60, 5, 2))
    valid = np.arange(5) < lengths[:, None]
    steps[~valid] = 1e9
    path = write(
        {"x": steps, "n": lengths, "y": np.ones(60)}, x={"role": "input", "kind": "sequence"}, n={"role": "length"}
    )
    dataset = read_dataset(path, val=0)
    state = fit_preprocessing(dataset, [Standardize()], dataset.splits["train"])["x"][0].state
    np.testing.assert_allclose(state["mean"], steps[valid].mean(0), rtol=1e-5)
    dataset = read_dataset(write({"x": steps, "y": np.ones(60)}, x={"kind": "sequence"}), val=0)
    state = fit_preprocessing(dataset, [Standardize()], dataset.splits["train"])["x"][0].state
    np.testing.assert_allclose(state["mean"], steps.reshape(-1, 2).mean(0), rtol=1e-5)


def test_what_a_network_gets(write: Write) -> None:
    content = {
        "image": np.zeros((9, 4, 4, 3), "uint8"),
        "words": np.zeros((9, 5), "uint8"),
        "colour": np.arange(9, dtype="int16") % 3,
        "size": np.zeros((9, 2)),
        "y": np.ones(9),
    }
    attributes = {
        "image": {"role": "input"},
        "words": {"role": "input", "kind": "tokens"},
        "colour": {"role": "input", "classes": ["r", "g", "b"]},
        "size": {"role": "condition"},
    }
    dataset = read_dataset(write(content, **attributes))
    io = input_output(dataset, [])
    assert {field.name: (field.shape, field.dtype) for field in io.inputs} == {
        "image": ((3, 4, 4), "float32"),
        "words": ((5,), "int64"),
        "colour": ((), "int64"),
    }
    assert [(field.name, field.shape, field.dtype) for field in io.conditions] == [("size", (2,), "float32")]
    changed = input_output(dataset, [OneHot(), Standardize()])
    colour = next(field for field in changed.inputs if field.name == "colour")
    assert (colour.kind, colour.shape, colour.dtype) == ("features", (3,), "float32")
    fitted = fit_preprocessing(dataset, [OneHot(), Standardize()], dataset.splits["train"])
    assert {name: len(steps) for name, steps in fitted.items()} == {"image": 1, "colour": 2, "size": 1}
    assert fitted["colour"][0].state["count"].dtype == torch.int16


def test_preprocessor_with_nothing_to_do(labelled: Write) -> None:
    dataset = read_dataset(labelled(train=9))
    with pytest.raises(
        DataError, match=r"one_hot_for_test accepts no input: x \(features\); remove it from data\.prep"
    ):
        fit_preprocessing(dataset, [OneHot()], dataset.splits["train"])


def test_preprocessor_that_cannot_be_fitted(labelled: Write) -> None:
    dataset = read_dataset(labelled(train=9))
    with pytest.raises(DataError, match=r"scale cannot be fitted on x: scale with by = \"type\" needs integers"):
        fit_preprocessing(dataset, [Scale(by="type")], dataset.splits["train"])


def test_no_rows(labelled: Write) -> None:
    with pytest.raises(DataError, match="no rows to fit preprocessing on"):
        fit_preprocessing(read_dataset(labelled(train=9)), [Standardize()], torch.tensor([], dtype=torch.int64))


def test_what_fills_in_missing_values_comes_first(write: Write) -> None:
    lacking = VALUES.copy()
    lacking[7, 2] = lacking[59, 0] = np.nan
    path = write({"x": lacking, "y": np.ones(60)})
    impute, standardize = Impute(), Standardize()
    dataset = read_dataset(path, val=0, preprocess=[impute, standardize])
    fitted = fit_preprocessing(dataset, [impute, standardize], torch.arange(50))["x"]
    oracle = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit(lacking[:50])
    got = preprocess(fitted, "features", dataset.tensors["x"])
    np.testing.assert_allclose(got, oracle.transform(lacking), atol=1e-5)
    with pytest.raises(
        DataError, match=r"x: 2 NaN of 240 values.*standardize cannot take them: put impute before it in"
    ):
        read_dataset(path, preprocess=[standardize, impute])
    with pytest.raises(
        DataError, match=r'let impute fill them in, preprocess = \["impute", "standardize"\] under \[data'
    ):
        read_dataset(path, preprocess=[standardize])


def test_missing_values_of_targets_and_images_are_none(write: Write) -> None:
    path = write({"x": VALUES, "y": np.where(np.arange(60) == 5, np.nan, 1.0)})
    with pytest.raises(DataError, match=r"y: 1 NaN of 60 values, the first in row 5; training would turn NaN: remove"):
        read_dataset(path, preprocess=[Impute()])
    image = np.zeros((60, 4, 4, 1))
    image[3, 2] = np.nan
    with pytest.raises(DataError, match=r"4 NaN of 960 values.*training would turn NaN: remove these rows, or fill in"):
        read_dataset(write({"x": image, "y": np.ones(60)}), preprocess=[Impute()])


def test_padding_may_be_missing_and_is_not_fitted(write: Write) -> None:
    steps = np.random.default_rng(0).normal(2, 3, size=(60, 5, 2))
    lengths = np.arange(60) % 5 + 1
    padding = np.arange(5) >= lengths[:, None]
    steps[padding] = np.nan
    steps[4, 0, 1] = np.nan
    path = write({"x": steps, "n": lengths, "y": np.ones(60)}, x={"kind": "sequence"}, n={"role": "length", "of": "x"})
    impute = Impute(strategy="mean")
    dataset = read_dataset(path, val=0, preprocess=[impute])
    fitted = fit_preprocessing(dataset, [impute], dataset.splits["train"])["x"]
    expected = np.where(np.isnan(steps), np.nanmean(steps[~padding], axis=0), steps)
    np.testing.assert_allclose(preprocess(fitted, "sequence", dataset.tensors["x"]), expected, rtol=1e-6)
