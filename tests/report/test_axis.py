import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dlcli.report.axis import Axis, labels, linear_ticks, log_ticks, spanning

FINITE = st.floats(-1e300, 1e300)


def tick_labels(low, high, most=6, **kind):
    return [label for _, label in Axis(low, high, 0, 100, **kind).ticks(most)]


@pytest.mark.parametrize(
    ("low", "high", "kind", "expected"),
    [
        (0, 1, {}, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.13, 0.27, {}, ["0.15", "0.20", "0.25"]),
        (-5, 5, {}, ["-4", "-2", "0", "2", "4"]),
        (0, 39, {"whole": True}, ["0", "10", "20", "30"]),
        (-0.1, 2.1, {"whole": True}, ["0", "1", "2"]),
        (1e-5, 1e-1, {"log": True}, ["1e-5", "1e-4", "0.001", "0.01", "0.1"]),
        (1e-8, 1e8, {"log": True}, ["1e-6", "0.001", "1", "1000", "1e6"]),
        (0.05, 1.2, {"log": True}, ["0.05", "0.10", "0.20", "0.50", "1.00"]),
        (16, 512, {"log": True, "whole": True}, ["20", "50", "100", "200", "500"]),
        # Steps of a logarithmic axis would give one figure alone.
        (0.0102, 0.0148, {"log": True}, ["0.011", "0.012", "0.013", "0.014"]),
        (1e6, 3e6, {}, ["1e6", "1.5e6", "2e6", "2.5e6", "3e6"]),
        (2e-7, 8e-7, {}, ["2e-7", "4e-7", "6e-7", "8e-7"]),
    ],
)
def test_round_figures(low, high, kind, expected):
    assert tick_labels(low, high, **kind) == expected


@given(FINITE, FINITE, st.integers(2, 12))
@example(0.0, 5e-324, 2)
@example(-1e-310, 1e-310, 5)
def test_ticks_lie_within_and_grow(first, second, most):
    axis = spanning([first, second], 0, 100, log=False)
    ticks = [value for value, _ in axis.ticks(most)]
    assert 1 <= len(ticks) <= max(most, 2)
    assert ticks == sorted(set(ticks))
    slack = 1e-9 * max(abs(axis.low), abs(axis.high))
    assert all(axis.low - slack <= value <= axis.high + slack for value in ticks)


@given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300), st.integers(2, 12))
@example(6.0, 1.6886164352145928e16, 2)
@example(9.999999999999995e299, 9.999999999999998e299, 3)
def test_logarithmic_ticks_lie_within_and_grow(first, second, most):
    axis = spanning([first, second], 0, 100, log=True)
    ticks = [value for value, _ in axis.ticks(most)]
    assert 1 <= len(ticks) <= most
    assert ticks == sorted(set(ticks))
    assert all(axis.low * (1 - 1e-9) <= value <= axis.high * (1 + 1e-9) for value in ticks)


@given(st.lists(FINITE, min_size=1, max_size=9), FINITE, st.sampled_from([(0.0, 100.0), (100.0, 0.0)]))
def test_every_value_has_its_place_inside_in_order(values, outside, ends):
    axis = spanning(values, *ends)
    places = [axis.place(value) for value in sorted(values)]
    assert all(0 <= place <= 100 for place in (*places, axis.place(outside)))
    assert places == sorted(places, reverse=ends[0] > ends[1])


def test_the_ends_are_the_ends():
    axis = Axis(1e-4, 1.0, 0, 80, log=True)
    assert [axis.place(value) for value in (1e-4, 1e-3, 1e-2, 1.0, 5.0, 1e-9)] == pytest.approx([0, 20, 40, 80, 80, 0])


@pytest.mark.parametrize(
    ("values", "log"), [([0.1, 1.1], True), ([0.1, 0.9], False), ([0.0, 5.0], False), ([-1.0, 100.0], False)]
)
def test_a_logarithm_only_for_positive_values_over_a_decade(values, log):
    assert spanning(values, 0, 100).log is log


@pytest.mark.parametrize("value", [0.0, 1e-310, -3.5, 1e300])
def test_equal_values_have_room_on_both_sides(value):
    assert spanning([value, value], 0, 100).place(value) == pytest.approx(50)


def test_labels_of_nothing():
    assert labels([]) == []
    assert labels([0.0]) == ["0"]
    assert labels([1e-9, 1.0]) == ["1e-9", "1"]


def test_steps():
    assert linear_ticks(0, 10, 3) == [0, 5, 10]
    assert log_ticks(1, 1000, 4) == [1, 10, 100, 1000]
    assert log_ticks(1.1, 1.9, 4) == []
    assert math.isclose(linear_ticks(0, 0.3, 4)[-1], 0.3)
