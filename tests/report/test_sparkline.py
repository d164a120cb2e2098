import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.report.sparkline import LEVELS, bar, histogram_line, sparkline

ANY = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60)


def test_it_goes_the_way_of_the_values():
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8]) == "▁▂▃▄▅▆▇█"
    assert sparkline([8, 7, 6, 5, 4, 3, 2, 1]) == "█▇▆▅▄▃▂▁"


def test_many_values_are_thinned_and_the_last_stays():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 100], width=2) == "▁█"
    assert sparkline([0] * 1000 + [1], width=3) == "▁▁█"


def test_decades_are_drawn_by_their_logarithm():
    assert sparkline([1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1]) == LEVELS


@pytest.mark.parametrize(
    ("values", "shown"),
    [([], ""), ([math.nan], ""), ([0.5], "▄"), ([3, 3, 3], "▄▄▄"), ([math.inf, 1, math.nan, 2], "▁█")],
)
def test_odd_values(values, shown):
    assert sparkline(values) == shown


@given(ANY, st.integers(1, 40))
def test_it_is_never_too_long(values, width):
    shown = sparkline(values, width)
    assert len(shown) == min(width, sum(map(math.isfinite, values)))
    assert set(shown) <= set(LEVELS)


@given(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=40))
def test_larger_values_are_never_lower(values):
    shown = sparkline(values)
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [LEVELS.index(shown[place]) for place in order] == sorted(LEVELS.index(letter) for letter in shown)


@pytest.mark.parametrize(
    ("share", "shown"), [(0, ""), (1, "████"), (0.5, "██"), (0.625, "██▌"), (1 / 32, "▏"), (7, "████"), (-1, "")]
)
def test_bars(share, shown):
    assert bar(share, 4) == shown


def test_a_histogram_shows_all_that_is_there():
    assert histogram_line([0, 1, 400, 800]) == " ▁▄█"
    assert histogram_line([0, 0]) == "  "
    assert histogram_line([]) == ""
