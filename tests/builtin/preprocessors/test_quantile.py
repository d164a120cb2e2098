"""The quantile map: scikit-learn, NumPy and SciPy as oracles."""

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.preprocessing import QuantileTransformer

from dlcli import Field
from dlcli.builtin.preprocessors import sorted_sample
from dlcli.builtin.preprocessors.quantile import _inverse_normal

GENERATOR = np.random.default_rng(5)
# A long tail, a plain one, many equal numbers within, and many at the lower end.
ROWS = np.column_stack(
    [
        GENERATOR.lognormal(1, 2, 301),
        GENERATOR.normal(-5, 0.1, 301).round(4),
        GENERATOR.integers(0, 6, 301),
        GENERATOR.poisson(0.7, 301),
    ]
).astype(np.float32)
NEW = np.vstack([ROWS, ROWS.min(0) - 1, ROWS.max(0) + 1, ROWS[:50] * 0.99 + 0.013]).astype(np.float32)
FIELD = Field("x", "input", "features", (4,), "float32")


def fitted(component, chunks):
    """The kept state of rows that come in chunks."""
    state = component.fit(torch.as_tensor(chunks[0]))
    for chunk in chunks[1:]:
        state = component.merge(state, component.fit(torch.as_tensor(chunk)))
    return {key: value.float() for key, value in component.finish(state, FIELD).items()}


@pytest.mark.parametrize("count", [2, 7, 64, 301])
@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_as_scikit_learn(registry, distribution, count):
    parameters = {"output_distribution": distribution, "n_quantiles": count}
    component = registry.create("preprocessor", "quantile", **parameters)
    oracle = QuantileTransformer(**parameters, subsample=None).fit(ROWS.astype(float))
    state = fitted(component, [ROWS[:1], ROWS[1:200], ROWS[200:]])
    np.testing.assert_allclose(state["quantiles"].T, oracle.quantiles_, rtol=1e-6)
    # Equal numbers that percentiles in float64 make 2.9999999999999996 and 3 are equal again, as they are in the state.
    oracle.quantiles_ = np.float32(oracle.quantiles_).astype(float)
    got = component.apply(state, torch.tensor(NEW))
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got, oracle.transform(NEW.astype(float)), rtol=1e-4, atol=2e-4)
    sequences = torch.tensor(NEW[:350]).view(7, 50, 4)
    assert torch.equal(component.apply(state, sequences), got[:350].view(7, 50, 4))


def test_ends_and_a_column_that_does_not_vary(registry):
    rows = np.column_stack([np.full(9, 3.0), np.arange(9.0)])
    new = torch.tensor([[3.0, -1e30], [1e9, 4.0], [-1e9, 1e30]])
    uniform = registry.create("preprocessor", "quantile", output_distribution="uniform")
    normal = registry.create("preprocessor", "quantile")
    expected = torch.tensor([[0.5, 0.0], [1.0, 0.5], [0.0, 1.0]])
    expected[:, 0] = 0.5
    torch.testing.assert_close(uniform.apply(fitted(uniform, [rows]), new), expected)
    got = normal.apply(fitted(normal, [rows]), new)
    torch.testing.assert_close(got[:, 0], torch.zeros(3))
    np.testing.assert_allclose(got[:, 1], norm.ppf([1e-7, 0.5, 1 - 1e-7]), rtol=1e-5, atol=1e-6)


def test_a_number_that_another_runtime_rounds_otherwise_is_still_a_tie(registry):
    component = registry.create("preprocessor", "quantile", output_distribution="uniform", n_quantiles=5)
    state = component.finish(component.fit(torch.tensor([[0.0], [0.7], [0.7], [0.7], [1.0]])), FIELD)
    kept = {key: value.float() for key, value in state.items()}
    number = torch.tensor([[0.7]])
    near = torch.cat([number, torch.nextafter(number, number + 1), torch.nextafter(number, number - 1)])
    torch.testing.assert_close(component.apply(kept, near), torch.full((3, 1), 0.5), rtol=0, atol=0)
    off = component.apply(kept, torch.tensor([[0.69999], [0.70001]]))
    torch.testing.assert_close(off, torch.tensor([[0.25], [0.75]]), rtol=0, atol=1e-4)


def test_inverse_normal_to_single_precision():
    p = np.concatenate([np.logspace(-7, -0.31, 500), [0.075, 0.0750001, 0.4999999, 0.5]])
    got = _inverse_normal(torch.tensor(p, dtype=torch.float32), torch.tensor(1 - p, dtype=torch.float32))
    np.testing.assert_allclose(got, norm.ppf(np.float32(p).astype(float)), rtol=3e-6, atol=3e-7)
    mirrored = _inverse_normal(torch.tensor(1 - p, dtype=torch.float32), torch.tensor(p, dtype=torch.float32))
    torch.testing.assert_close(mirrored, -got, rtol=1e-6, atol=1e-7)


def test_more_rows_than_are_kept(registry, monkeypatch):
    monkeypatch.setattr(sorted_sample, "VALUES", 0)  # 1024 rows are kept
    rows = np.random.default_rng(0).lognormal(0, 2, size=(60_000, 1))
    component = registry.create("preprocessor", "quantile", output_distribution="uniform", n_quantiles=101)
    state = component.fit(torch.tensor(rows[:4000]))
    for chunk in np.array_split(rows[4000:], 14):
        state = component.merge(state, component.fit(torch.tensor(chunk)))
    assert state["sample"].shape == (1024, 1)
    assert float(state["count"]) == 60_000
    quantiles = component.finish(state, FIELD)["quantiles"][0].numpy()
    ranks = np.searchsorted(np.sort(rows[:, 0]), quantiles[1:-1]) / 60_000
    assert np.abs(ranks - np.linspace(0, 1, 101)[1:-1]).max() <= 15 / 2048


def test_no_rows(registry):
    with pytest.raises(ValueError, match="quantile needs at least one row to fit on, got none"):
        registry.create("preprocessor", "quantile").fit(torch.zeros(0, 3))
