import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dlcli import Choice, Condition, Normal, Uniform, belongs, compose, keys_in_order, written

QUANTILES = st.floats(0, 1, exclude_max=True)
SGD = {"name": "sgd", "momentum": 0.9}


@given(QUANTILES, st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_a_uniform_value_is_in_the_range_and_has_its_quantile(quantile, low, width):
    distribution = Uniform(low, low + width)
    value = distribution.at(quantile)
    assert distribution.contains(value)
    if width > 1e-3:
        assert distribution.quantile(value) == pytest.approx(quantile, abs=1e-5)


@given(QUANTILES, st.floats(1e-9, 1e3), st.floats(1.001, 1e6))
def test_a_log_uniform_value_is_as_scipy_has_it(quantile, low, factor):
    distribution = Uniform(low, low * factor, log=True)
    value = distribution.at(quantile)
    assert distribution.contains(value)
    assert value == pytest.approx(stats.loguniform(low, low * factor).ppf(quantile), rel=1e-9)
    assert distribution.quantile(value) == pytest.approx(quantile, abs=1e-9)


@given(QUANTILES, st.integers(-50, 50), st.integers(0, 50))
def test_whole_numbers_are_ints_of_the_range(quantile, low, width):
    distribution = Uniform(low, low + width, whole=True)
    value = distribution.at(quantile)
    assert isinstance(value, int)
    assert distribution.contains(value)
    assert distribution.at(distribution.quantile(value)) == value


def test_whole_numbers_are_equally_likely_ends_included():
    counts = [[Uniform(2, 5, whole=True).at((i + 0.5) / 400) for i in range(400)].count(n) for n in range(1, 7)]
    assert counts == [0, 100, 100, 100, 100, 0]


@given(st.floats(1e-6, 1 - 1e-6), st.floats(-5, 5), st.floats(0.1, 5), st.floats(0.5, 4), st.floats(0.5, 4))
def test_a_cut_normal_is_as_scipy_has_it(quantile, mean, deviation, below, above):
    distribution = Normal(mean, deviation, mean - below * deviation, mean + above * deviation)
    value = distribution.at(quantile)
    oracle = stats.truncnorm(-below, above, mean, deviation)
    assert value == pytest.approx(oracle.ppf(quantile), rel=1e-6, abs=1e-6)
    assert distribution.contains(value)
    assert distribution.quantile(value) == pytest.approx(quantile, abs=1e-6)


def test_a_normal_is_finite_at_its_ends():
    distribution = Normal(1.0, 2.0)
    assert all(math.isfinite(distribution.at(quantile)) for quantile in (0.0, 1 - 2**-53))
    assert distribution.at(0.5) == 1.0
    assert statistics.fmean(distribution.at((i + 0.5) / 100) for i in range(100)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("distribution", "value", "inside"),
    [
        (Uniform(0, 1), 1, True),
        (Uniform(0, 1), 1.1, False),
        (Uniform(0, 1), True, False),
        (Uniform(0, 1), "0.5", False),
        (Uniform(0, 4, whole=True), 2.0, False),
        (Uniform(0, 4, whole=True), 2, True),
        (Normal(0, 1, high=1), 2.0, False),
        (Normal(0, 1), None, False),
        (Choice(((64,), (128, 64))), [128, 64], True),
        (Choice((1, 2)), True, False),
        (Choice((1, 2)), 1.0, False),
        (Choice((SGD, "adam")), {"momentum": 0.9, "name": "sgd"}, True),
        (Choice((None,)), None, True),
    ],
)
def test_what_a_distribution_contains(distribution, value, inside):
    assert distribution.contains(value) is inside


@pytest.mark.parametrize(
    ("wanted", "value", "holds"),
    [("sgd", SGD, True), ("sgd", "sgd", True), ("sgd", "adam", False), (True, 1, False), ((1, 2), [1, 2], True)],
)
def test_a_condition_names_a_table_by_its_name(wanted, value, holds):
    assert Condition("k", (wanted,)).met_by(value) is holds
    assert Condition("k", (wanted,)).holds({"k": value}) is holds
    assert not Condition("k", (wanted,)).holds({})


SPACE = {
    "y": Uniform(0, 1, when=Condition("x", ("b",))),
    "x": Choice(("b", "c"), when=Condition("kind", ("sgd",))),
    "kind": Choice((SGD, "adam")),
}


def test_keys_come_after_what_they_depend_on_and_settings_in_the_order_of_the_space():
    assert list(keys_in_order(SPACE)) == ["kind", "x", "y"]
    assert list(compose(SPACE, lambda key, each: each.at(0))) == ["y", "x", "kind"]
    assert compose(SPACE, lambda key, each: each.at(0.9)) == {"kind": "adam"}


@pytest.mark.parametrize(
    ("setting", "is_one"),
    [
        ({"kind": "adam"}, True),
        ({"kind": SGD, "x": "c"}, True),
        ({"kind": SGD, "x": "b", "y": 0.5}, True),
        ({"kind": SGD, "x": "b"}, False),
        ({"kind": "adam", "x": "b", "y": 0.5}, False),
        ({"kind": "adam", "z": 1}, False),
        ({"kind": SGD, "x": "b", "y": 2}, False),
        ({}, False),
    ],
)
def test_a_setting_belongs_with_just_its_active_keys(setting, is_one):
    assert belongs(SPACE, setting) is is_one


def test_equal_values_are_written_alike():
    assert written((1, (2,))) == written([1, [2]])
    assert len({written(value) for value in (1, 1.0, True, "1")}) == 4
