import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli import Choice, Normal, Uniform
from dlcli.contracts.search import Limits
from dlcli.search.border import find_borders

RATE = Uniform(1e-5, 1e-1, log=True)


def widened(distribution, value, limits=Limits()):  # noqa: B008
    return [(each.end, each.widened) for each in find_borders({"k": distribution}, {"k": value}, {"k": limits})]


@pytest.mark.parametrize(
    ("distribution", "value", "limits", "end", "low", "high"),
    [
        (RATE, 9e-2, Limits(0, low_open=True), "high", 1e-5, 1.0),
        (RATE, 1.2e-5, Limits(0, low_open=True), "low", 1e-6, 1e-1),
        (Uniform(0.1, 0.5), 0.5, Limits(0, 1, high_open=True), "high", 0.1, 0.9),
        (Uniform(0.0, 0.6), 0.59, Limits(0, 1, high_open=True), "high", 0.0, 0.96),
        (Uniform(0.1, 0.5), 0.11, Limits(0, 1), "low", 0, 0.5),
        (Uniform(0.1, 0.5), 0.11, Limits(0, 1, low_open=True), "low", 0.01, 0.5),
        (Uniform(0.1, 0.3), 0.3, Limits(), "high", 0.1, 0.5),
        (Uniform(8, 64, log=True, whole=True), 63, Limits(1), "high", 8, 640),
        (Uniform(8, 64, log=True, whole=True), 8, Limits(1), "low", 1, 64),
        (Uniform(2, 6, whole=True), 6, Limits(1), "high", 2, 10),
        (Uniform(2, 6, whole=True), 2, Limits(0, low_open=True), "low", 1, 6),
        (Uniform(2, 6, whole=True), 6, Limits(high=9, high_open=True), "high", 2, 8),
    ],
)
def test_a_best_value_at_an_end_widens_the_range_there(distribution, value, limits, end, low, high):
    ((found, wider),) = widened(distribution, value, limits)
    assert found == end
    assert (wider.low, wider.high) == (low, high)
    assert (wider.log, wider.whole) == (distribution.log, distribution.whole)
    assert not wider.whole or (isinstance(wider.low, int) and isinstance(wider.high, int))


@pytest.mark.parametrize(
    ("distribution", "value", "limits"),
    [
        (RATE, 1e-3, Limits()),
        (RATE, 10**-1.3, Limits()),  # 7.5 % from the end
        (Uniform(0.0, 0.5), 0.0, Limits(0, 1)),
        (Uniform(1, 9, whole=True), 1, Limits(1)),
        (Uniform(1, 64, log=True, whole=True), 1, Limits()),  # no whole number > 0 is below
        (Uniform(0.123456789, 1.0), 0.123456789, Limits(0.123456789)),
        (Choice((1, 2)), 1, Limits()),
        (Normal(0.0, 1.0), 3.0, Limits()),
    ],
)
def test_the_middle_a_natural_limit_and_what_is_no_range_are_no_borders(distribution, value, limits):
    assert widened(distribution, value, limits) == []


def test_a_key_that_was_not_active_has_no_border():
    assert find_borders({"k": RATE}, {}, {}) == []


def test_the_warning_has_the_line_to_paste():
    (border,) = find_borders({"train.optimizer.lr": RATE}, {"train.optimizer.lr": 0.0951234}, {})
    assert border.warning("LINE") == (
        "the best train.optimizer.lr, 0.09512, is at the upper end of its range, 0.1: better values may lie beyond; "
        "to search there, write\nLINE"
    )
    (border,) = find_borders({"k": RATE}, {"k": 1e-5}, {})
    assert "is at the lower end of its range, 1e-05" in border.warning("")


@given(
    st.floats(0, 1),
    st.floats(-100, 100),
    st.floats(0.01, 100),
    st.floats(0, 50),
    st.floats(0, 50),
    st.booleans(),
)
def test_a_widened_range_holds_the_old_one_and_keeps_within_the_limits(at, low, width, below, above, is_open):
    distribution = Uniform(low, low + width)
    limits = Limits(low - below, low + width + above, is_open, is_open)
    for end, wider in widened(distribution, distribution.at(at), limits):
        assert wider.low <= distribution.low
        assert wider.high >= distribution.high
        assert limits.low <= wider.low
        assert wider.high <= limits.high
        tolerance = 1e-5 * max(abs(wider.low), abs(wider.high))  # shortened to six digits
        grown = distribution.low - wider.low if end == "low" else wider.high - distribution.high
        assert 0 < grown <= width + tolerance
        assert math.isfinite(grown)
