import math
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from dlcli.experiment.find_lr import RangeTest, RatePoint
from dlcli.report.curve import HEIGHT, WIDTH, curve
from dlcli.report.find_lr import find_lr_svg, find_lr_view

SVG = "{http://www.w3.org/2000/svg}"


def points(losses):
    return tuple(RatePoint(1e-7 * 1e8 ** (place / (len(losses) - 1)), loss, loss) for place, loss in enumerate(losses))


FALLS = [2.3 - 2 / (1 + math.exp(6 - place / 8)) for place in range(90)] + [0.5, 0.9, 2.0, 5.0]
TEST = RangeTest("digits", "adam", 1e-3, points(FALLS), 0.02, 0.004, "the loss rose to 4 times its best", ("a note",))


def test_the_view_has_the_rates_the_curve_and_what_to_do(text):
    shown = text(find_lr_view(TEST))
    for expected in (
        "recipe   digits, adam with lr 0.001",
        "tested   94 steps, learning rate 1e-07 to 10",
        "note     a note",
        "ended    the loss rose to 4 times its best",
        "suggests 0.02     where the loss falls most steeply",
        "         0.004    a tenth of the rate of the smallest loss",
        "next     dlcli train RECIPE --set train.optimizer.lr=0.004",
    ):
        assert expected in shown.splitlines()
    assert max(map(len, shown.splitlines())) <= 80


def test_the_smaller_of_both_rates_is_what_to_do_next(text):
    shown = text(find_lr_view(replace(TEST, steepest=0.001)))
    assert "next     dlcli train RECIPE --set train.optimizer.lr=0.001" in shown.splitlines()


def test_without_a_suggestion_the_view_says_why(text):
    shown = text(find_lr_view(RangeTest("digits", "adam", 1e-3, points([1.0] * 20), None, None, None)))
    assert "suggests none: the loss never fell" in shown
    assert "at the highest rate; the loss did not explode" in shown
    assert "▲" not in shown


def columns(lines):
    """How many steps each column of a curve is high."""
    area = [line.plain[9:].ljust(WIDTH) for line in lines[:HEIGHT]]
    return [sum(" ▁▂▃▄▅▆▇█".index(row[place]) for row in area) for place in range(WIDTH)]


def test_a_curve_rises_where_its_values_rise_and_has_no_holes():
    rising = columns(curve([(10.0**x, float(x)) for x in range(-8, 3)]))
    first = next(place for place, height in enumerate(rising) if height)
    seen = [height for height in rising[first:] if height]
    assert seen == sorted(seen)
    assert len(set(seen)) > WIDTH / 2
    assert 0 < first < 5 > WIDTH - first - len(seen)
    assert seen[-1] > 0.9 * HEIGHT * 8 > 8 > seen[0] > 0


@pytest.mark.parametrize("values", [[0.0, 0.0], [-1e300, 1e300], [1e-300, 1e300], [5.0, 5.0 + 1e-12]])
def test_any_finite_values_make_a_curve(values):
    lines = curve([(1e-7, values[0]), (10.0, values[1])], [(1e-7, "red"), (10.0, "green")])
    assert len(lines) == HEIGHT + 3
    assert lines[HEIGHT + 1].plain.count("▲") == 2
    assert all(columns(lines)[3:-3])


def test_a_mark_lies_below_its_value():
    lines = curve([(1e-6, 1.0), (1e-2, 2.0), (100.0, 3.0)], [(1e-2, "green")])
    below, ticks = lines[HEIGHT + 1].plain, lines[HEIGHT + 2].plain
    assert abs(below.index("▲") - (ticks.index("0.01") + 2)) <= 1


def test_the_picture_has_both_curves_and_both_rates():
    root = ElementTree.fromstring(find_lr_svg(TEST))
    assert len(root.findall(f"{SVG}polyline")) == 2
    written = [element.text for element in root.iter(f"{SVG}text")]
    assert {"steepest: 0.02", "minimum / 10: 0.004", "learning rate", "loss"} <= set(written)
    for line in root.findall(f"{SVG}polyline"):
        places = [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]
        assert all(84 <= x <= 740 and 76 <= y <= 404 for x, y in places)


def test_the_picture_of_a_loss_that_never_fell_marks_nothing():
    svg = find_lr_svg(RangeTest("a <b>", "adam", 1e-3, points([1.0] * 20), None, None, None))
    assert "a &lt;b&gt;" in svg
    assert "steepest" not in svg
