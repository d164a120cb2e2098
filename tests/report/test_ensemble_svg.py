import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli.report.ensemble_outcome import Comparison, CurvePoint, EnsembleMember, EnsembleOutcome, Gain
from dlcli.report.ensemble_svg import ENSEMBLE, MARKED_POINTS, MEAN, SINGLE, ensemble_svg

SVG = "{http://www.w3.org/2000/svg}"
SCORES = (0.4, 0.2, 0.3)
LOSSES = (0.5, 0.45, 0.3)
MEMBERS = tuple(
    EnsembleMember(f"m-{place}", score=score, figures={"loss": loss})
    for place, (score, loss) in enumerate(zip(SCORES, LOSSES, strict=True), 1)
)
NOTHING = Gain(0.0, 0.0)
COMPARISON = Comparison("test", 360, {"loss": 0.25}, "m-2", {"loss": 0.45}, {"loss": 1.25 / 3}, NOTHING, NOTHING)
OUTCOME = EnsembleOutcome(
    Path("runs/bag/0001"),
    "bag",
    "finished",
    "bagging",
    "combination",
    "val_loss",
    "min",
    1.0,
    MEMBERS,
    val={"loss": 0.1},
    comparison=COMPARISON,
    curve=(CurvePoint(1, 0.4, 0.5), CurvePoint(2, 0.2, 0.35), CurvePoint(3, 0.1, 0.25)),
)


def root(outcome):
    return ElementTree.fromstring(ensemble_svg(outcome))


def texts(outcome):
    return ["".join(each.itertext()) for each in root(outcome).iter(f"{SVG}text")]


def frames(outcome):
    boxes = [each for each in root(outcome).iter(f"{SVG}rect") if each.get("fill") == "none"]
    return [tuple(float(each.get(name)) for name in ("x", "y", "width", "height")) for each in boxes]


def marks(outcome, colour):
    """Centres of marks below the legend."""
    found = [each for each in root(outcome).iter(f"{SVG}circle") if each.get("fill") == colour]
    return [(float(each.get("cx")), float(each.get("cy"))) for each in found if float(each.get("cy")) > 70]


def dashes(outcome, colour):
    """Heights of dashed lines below the legend."""
    found = [each for each in root(outcome).iter(f"{SVG}line") if each.get("stroke-dasharray")]
    return [float(each.get("y1")) for each in found if each.get("stroke") == colour and float(each.get("y1")) > 70]


def inside(place, frame):
    x, y, width, height = frame
    return x <= place[0] <= x + width and y <= place[1] <= y + height


VALUES = st.none() | st.floats() | st.floats(1e-6, 1e3)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(VALUES, VALUES, st.booleans()), max_size=6),
    st.lists(st.tuples(st.integers(1, 300), VALUES, VALUES), max_size=6),
    st.sampled_from(["min", "max"]),
    VALUES,
)
def test_whatever_the_scores_all_marks_lie_in_a_plot(members, curve, direction, best):
    outcome = replace(
        OUTCOME,
        direction=direction,
        members=tuple(
            EnsembleMember(f"m-{place}", score=score, used=used, figures={} if loss is None else {"loss": loss})
            for place, (score, loss, used) in enumerate(members)
        ),
        curve=tuple(CurvePoint(*point) for point in curve),
        comparison=replace(COMPARISON, best={} if best is None else {"loss": best}),
    )
    boxes = frames(outcome)
    assert 1 <= len(boxes) <= 2
    for mark in (*marks(outcome, SINGLE), *marks(outcome, ENSEMBLE)):
        assert any(inside(mark, box) for box in boxes)
    for each in root(outcome).iter():
        places = [each.get(name) for name in ("x", "y", "x1", "y1", "x2", "y2", "cx", "cy") if each.get(name)]
        places += each.get("points", "").replace(",", " ").split()
        assert all(math.isfinite(float(place)) for place in places)


def test_dots_curve_and_dashes_are_where_the_figures_are():
    # On a linear axis pixels are proportional to values.
    upper, lower = frames(OUTCOME)
    singles, points = marks(OUTCOME, SINGLE), marks(OUTCOME, ENSEMBLE)
    assert len(singles) == len(points) == 6
    for box, own, curve, scores, losses in (
        (upper, singles[:3], points[:3], SCORES, (0.4, 0.2, 0.1)),
        (lower, singles[3:], points[3:], LOSSES, (0.5, 0.35, 0.25)),
    ):
        assert all(inside(mark, box) for mark in (*own, *curve))
        assert [x for x, _ in own] == [x for x, _ in curve]
        (_, top), (_, bottom) = own[0], curve[-1]
        pixels = (bottom - top) / (scores[0] - losses[-1])
        for (_, y), value in zip((*own, *curve), (*scores, *losses), strict=True):
            assert y - top == pytest.approx((scores[0] - value) * pixels, abs=0.2)
    # The best member is the second, by validation, on both kinds of rows.
    assert dashes(OUTCOME, SINGLE) == [singles[1][1], singles[4][1]]
    first = (singles[0][1] + singles[1][1] + singles[2][1]) / 3
    second = (singles[3][1] + singles[4][1] + singles[5][1]) / 3
    assert dashes(OUTCOME, MEAN) == pytest.approx([first, second], abs=0.2)


def test_what_is_written():
    shown = texts(OUTCOME)
    assert shown[0] == "bag: bagging, 3 members"
    assert "validation rows, smaller is better: ensemble 0.1000, best member 0.2000, mean 0.3000" in shown
    assert "360 test rows, smaller is better: ensemble 0.2500, best member 0.4500, mean 0.4167" in shown
    for label in (
        "ensemble of the first members",
        "one member",
        "mean of members",
        "best member by validation",
        "val_loss",
        "loss",
        "members",
    ):
        assert label in shown


def test_where_larger_is_better_the_best_member_is_the_largest():
    outcome = replace(OUTCOME, direction="max", monitor="val_accuracy")
    assert dashes(outcome, SINGLE)[0] == marks(outcome, SINGLE)[0][1]
    assert any(text.startswith("validation rows, larger is better") for text in texts(outcome))


def test_the_same_loss_is_not_drawn_twice():
    outcome = replace(OUTCOME, comparison=replace(COMPARISON, split="val"))
    assert len(frames(outcome)) == 1
    assert len(frames(replace(outcome, monitor="val_accuracy"))) == 2


def test_members_that_are_not_used_or_failed_are_not_drawn():
    members = (replace(MEMBERS[0], used=False), MEMBERS[1], replace(MEMBERS[2], failure="the loss is NaN"))
    outcome = replace(OUTCOME, members=members)
    assert len(marks(outcome, SINGLE)) == 2
    assert dashes(outcome, MEAN) == []  # the mean of one member is the member


def test_scores_on_other_rows_than_the_curve_are_not_beside_it():
    outcome = replace(OUTCOME, val=None, unseen_kind="out-of-fold", comparison=None, members=MEMBERS)
    assert "out-of-fold rows, smaller is better: ensemble 0.1000" in texts(outcome)
    assert not any(inside(mark, frames(outcome)[0]) for mark in marks(outcome, SINGLE))


def test_one_member():
    outcome = replace(OUTCOME, members=MEMBERS[:1], curve=OUTCOME.curve[:1])
    assert list(root(outcome).iter(f"{SVG}polyline")) == []
    assert len(marks(outcome, ENSEMBLE)) == 2
    assert texts(outcome).count("1") == 2


@pytest.mark.parametrize("curve", [(), (CurvePoint(1), CurvePoint(2, math.nan, math.inf))])
def test_nothing_to_draw(curve):
    outcome = replace(OUTCOME, members=(EnsembleMember("a"),), curve=curve, comparison=None)
    assert len(frames(outcome)) == 1
    assert "no scores" in texts(outcome)


def test_a_long_curve_has_no_marks_and_no_figure_below_one_member():
    points = tuple(CurvePoint(count, 1 / count) for count in range(1, MARKED_POINTS + 141))
    outcome = replace(OUTCOME, curve=points, members=())
    assert marks(outcome, ENSEMBLE) == []
    (line,) = root(outcome).iter(f"{SVG}polyline")
    assert len(line.get("points").split()) == len(points)
    figures = [each for each in root(outcome).iter(f"{SVG}text") if each.get("text-anchor") == "middle"]
    written = ["".join(each.itertext()) for each in figures]
    assert {"20", "200"} <= set(written)
    assert "0" not in written


def test_names_are_escaped():
    odd = '<b>&"学习\x00'
    outcome = replace(OUTCOME, name=odd, monitor=odd, members=(replace(MEMBERS[0], identity=odd),))
    assert any(r'<b>&"学习\x00' in text for text in texts(outcome))
