"""Missing values: scikit-learn and NumPy as oracles."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.impute import SimpleImputer

from dlcli import Field
from dlcli.builtin.preprocessors import sorted_sample

GENERATOR = np.random.default_rng(3)
ROWS = GENERATOR.lognormal(1, 2, size=(101, 4))
ROWS[GENERATOR.random(ROWS.shape) < [0, 0.1, 0.5, 0.9]] = np.nan
NEW = np.vstack([ROWS[:20], np.full((1, 4), np.nan)])
FIELD = Field("x", "input", "features", (4,), "float64", names=("a", "b", "c", "d"))


def fitted(component, chunks, field=FIELD):
    """The kept state of rows that come in chunks."""
    state = None
    for chunk in chunks:
        part = component.fit(torch.as_tensor(chunk))
        state = part if state is None else component.merge(state, part)
    return {key: value.float() for key, value in component.finish(state, field).items()}


@pytest.mark.parametrize(
    ("parameters", "oracle"),
    [
        ({}, SimpleImputer(strategy="median")),
        ({"strategy": "mean"}, SimpleImputer(strategy="mean")),
        ({"strategy": "constant", "value": -3.5}, SimpleImputer(strategy="constant", fill_value=-3.5)),
    ],
)
@pytest.mark.parametrize("chunks", [[ROWS], np.array_split(ROWS, 9), [ROWS[:1], ROWS[1:]]], ids=["one", "nine", "two"])
def test_as_scikit_learn(registry, parameters, oracle, chunks):
    component = registry.create("preprocessor", "impute", **parameters)
    got = component.apply(fitted(component, chunks), torch.tensor(NEW))
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got, oracle.fit(ROWS).transform(NEW), rtol=1e-6)


def test_indicator_has_a_column_for_every_column(registry):
    component = registry.create("preprocessor", "impute", indicator=True)
    state = fitted(component, [ROWS])
    got = component.apply(state, torch.tensor(NEW))
    expected = SimpleImputer(strategy="median").fit(ROWS).transform(NEW)
    np.testing.assert_allclose(got, np.hstack([expected, np.isnan(NEW)]), rtol=1e-6)
    output = component.output(FIELD)
    assert (output.shape, output.dtype) == ((8,), "float32")
    assert output.names[3:6] == ("d", "a is missing", "b is missing")
    steps = Field("x", "input", "sequence", (7, 4), "float32")
    assert component.output(steps).shape == (7, 8)
    sequences = torch.tensor(NEW).view(3, 7, 4)
    assert torch.equal(component.apply(state, sequences), got.view(3, 7, 8))


def test_a_median_of_more_rows_than_are_kept_is_off_by_less_than_it_says(registry, monkeypatch):
    monkeypatch.setattr(sorted_sample, "VALUES", 0)  # 1024 rows are kept
    rows = np.random.default_rng(0).permutation(100_000).astype(float)[:, None].repeat(2, axis=1)
    rows[500:, 1] = np.nan  # few enough to be exact, whatever the other column
    component = registry.create("preprocessor", "impute")
    chunks = np.array_split(rows, 20)
    fill = fitted(component, chunks, Field("x", "input", "features", (2,), "float64"))["fill"]
    assert abs(float(fill[0]) - 49_999.5) <= 20 / 2048 * 100_000
    assert abs(float(fill[0]) - 49_999.5) > 0
    assert float(fill[1]) == np.nanmedian(rows[:, 1])


def test_a_column_without_a_value(registry):
    rows = ROWS.copy()
    rows[:, 1] = np.nan
    component = registry.create("preprocessor", "impute")
    with pytest.raises(ValueError, match=r"all values of column 'b' are missing in the training rows.*no median;"):
        fitted(component, np.array_split(rows, 3))
    wide = Field("x", "input", "features", (20,), "float32")
    mean = registry.create("preprocessor", "impute", strategy="mean")
    with pytest.raises(ValueError, match=r"column 0, 1, 2, 3, 4, 5, 6, 7, … are missing .* no mean; remove"):
        fitted(mean, [np.full((5, 20), np.nan)], wide)
    constant = registry.create("preprocessor", "impute", strategy="constant")
    assert torch.equal(fitted(constant, [rows])["fill"], torch.zeros(4))


def test_bad_parameters_and_rows(registry):
    with pytest.raises(ValidationError, match=r'value is what strategy = "constant" fills in; got value = 2.0 with st'):
        registry.create("preprocessor", "impute", value=2.0)
    with pytest.raises(ValueError, match="impute needs at least one row to fit on, got none"):
        registry.create("preprocessor", "impute").fit(torch.zeros(0, 3))


def test_takes_missing_values_of_columns_alone(registry):
    assert registry.create("preprocessor", "impute").takes_missing
    assert not registry.create("preprocessor", "standardize").takes_missing
    kinds = ("features", "sequence", "image", "tokens", "categorical")
    component = registry.create("preprocessor", "impute")
    assert [k for k in kinds if component.accepts(Field("x", "input", k, (4,), "float32"))] == ["features", "sequence"]
