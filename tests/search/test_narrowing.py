import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli import Choice, Condition, Normal, Uniform, belongs
from dlcli.search.narrowing import narrow
from dlcli.search.sampling import draw

SPACE = {
    "lr": Uniform(1e-5, 1e-1, log=True),
    "dropout": Uniform(0.0, 0.5),
    "batch": Uniform(8, 256, log=True, whole=True),
    "depth": Uniform(1, 9, whole=True),
    "kind": Choice(("a", "b", "c", {"name": "d", "x": 1})),
    "x": Uniform(0.0, 1.0, when=Condition("kind", ("a", "d"))),
    "decay": Normal(0.0, 1.0, low=-2.0),
}


def finished(scores):
    return list(zip(draw(SPACE, 0, len(scores)), scores, strict=True))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40), st.sampled_from(["min", "max"]))
def test_the_narrowed_space_lies_in_the_old_one_and_holds_the_best_fifth(scores, direction):
    trials = finished(scores)
    narrowed = narrow(SPACE, trials, direction)
    assert list(narrowed) == [key for key in SPACE if key in narrowed]
    count = max(4, math.ceil(len(scores) / 5))
    best = sorted(trials, key=lambda each: each[1], reverse=direction == "max")[:count]
    for setting, _ in best:
        assert all(narrowed[key].contains(value) for key, value in setting.items())
    for setting in draw(narrowed, 1, 20):
        assert belongs(narrowed, setting)
        assert all(SPACE[key].contains(value) for key, value in setting.items())


def settings_of(key, values):
    return [({key: value}, float(place)) for place, value in enumerate(values)]


def test_a_range_is_the_span_of_the_best_fifth_widened_by_a_tenth():
    values = [0.2, 0.3, 0.25, 0.28, *([0.5] * 16)]
    assert narrow({"k": Uniform(0.0, 1.0)}, settings_of("k", values), "min")["k"].low == pytest.approx(0.19)
    assert narrow({"k": Uniform(0.0, 1.0)}, settings_of("k", values), "min")["k"].high == pytest.approx(0.31)
    log = narrow({"k": Uniform(1e-6, 1.0, log=True)}, settings_of("k", [1e-4, 1e-2, 1e-3, 1e-3, *([1.0] * 16)]), "min")[
        "k"
    ]
    assert (log.low, log.high) == (pytest.approx(10**-4.2), pytest.approx(10**-1.8))
    assert log.log


def test_five_of_21_are_the_best_fifth_and_the_largest_are_where_larger_is_better():
    values = [place / 20 for place in range(21)]
    narrowed = narrow({"k": Uniform(0.0, 1.0)}, settings_of("k", values), "max")["k"]
    assert (narrowed.low, narrowed.high) == (pytest.approx(0.78), 1.0)


def test_two_that_agree_do_not_cut_off_the_rest():
    narrowed = narrow({"k": Uniform(0.0, 1.0)}, settings_of("k", [0.5, 0.5, 0.1, 0.9, *([1.0] * 6)]), "min")["k"]
    assert (narrowed.low, narrowed.high) == (pytest.approx(0.02), pytest.approx(0.98))


def test_whole_numbers_are_rounded_outwards_and_clipped():
    narrowed = narrow({"k": Uniform(1, 100, whole=True)}, settings_of("k", [1, 24]), "min")["k"]
    assert (narrowed.low, narrowed.high) == (1, 27)
    assert isinstance(narrowed.low, int)


def test_where_the_best_agree_a_tenth_of_the_range_is_left():
    linear = narrow({"k": Uniform(0.0, 1.0)}, settings_of("k", [0.5, 0.5]), "min")["k"]
    assert (linear.low, linear.high) == (pytest.approx(0.45), pytest.approx(0.55))
    whole = narrow({"k": Uniform(1, 100, whole=True)}, settings_of("k", [50, 50]), "min")["k"]
    assert (whole.low, whole.high) == (45, 55)


def test_a_choice_keeps_what_occurs_in_its_order():
    narrowed = narrow({"k": Choice(("a", (1, 2), "c"))}, settings_of("k", ["c", [1, 2]]), "min")
    assert narrowed["k"].values == ((1, 2), "c")


def test_a_normal_distribution_is_cut_off():
    narrowed = narrow({"k": Normal(0.0, 1.0, high=0.5)}, settings_of("k", [-1.0, 0.5]), "min")["k"]
    assert (narrowed.mean, narrowed.deviation, narrowed.high) == (0.0, 1.0, 0.5)
    assert narrowed.low == pytest.approx(-1.15)


def test_a_key_whose_condition_cannot_hold_any_more_goes_and_what_was_inactive_stays():
    space = {
        "kind": Choice(("a", "b")),
        "x": Uniform(0.0, 1.0, when=Condition("kind", ("a",))),
        "sub": Choice((1, 2), when=Condition("kind", ("a",))),
        "y": Uniform(0.0, 1.0, when=Condition("sub", (1,))),
    }
    only_b = [({"kind": "b"}, 0.0), ({"kind": "b"}, 1.0)]
    assert list(narrow(space, only_b, "min")) == ["kind"]
    mixed = [({"kind": "b"}, 0.0), ({"kind": "a", "x": 0.5, "sub": 2}, 1.0)]
    narrowed = narrow(space, mixed, "min")
    assert list(narrowed) == ["kind", "x", "sub"]
    assert narrowed["x"].low == pytest.approx(0.45)


def test_fewer_than_two_trials_narrow_nothing():
    assert narrow(SPACE, finished([1.0]), "min") == SPACE
