import math
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli.report.tune_history_svg import BOX, history_svg
from dlcli.report.tune_marks import BEST, FINISHED
from dlcli.report.tune_parameters_svg import PANEL_HEIGHT, PANEL_WIDTH, parameters_svg
from dlcli.report.tune_view import ParameterRange, TrialRow, TuneView

SVG = "{http://www.w3.org/2000/svg}"
SPACE = {
    "train.optimizer.lr": ParameterRange(1e-5, 1e-1, log=True),
    "model.dropout": ParameterRange(0.0, 0.5),
    "model.layers": ParameterRange(1, 4, whole=True),
    "model.hidden": ParameterRange(choices=((64,), (128, 128))),
    "noise": ParameterRange(),
}


def setting(rng):
    return {
        "train.optimizer.lr": 10 ** rng.uniform(-5, -1),
        "model.dropout": rng.uniform(0, 0.5),
        "model.layers": rng.randint(1, 4),
        "model.hidden": rng.choice(((64,), (128, 128))),
        "noise": rng.gauss(0, 1),
    }


def view(rows, **facts):
    return TuneView(Path("r/0001"), "digits", "val_loss", **{"direction": "min", "space": SPACE, **facts}, trials=rows)


def drawn(count, score=None, seed=0):
    rng = random.Random(seed)
    states = ["finished", "finished", "finished", "pruned", "failed"]
    rows = []
    for number in range(count):
        state = rng.choice(states) if number else "finished"
        value = None if state == "failed" else rng.lognormvariate(-2, 1) if score is None else score
        rows.append(TrialRow(number, state, setting(rng), value))
    return rows


def texts(svg):
    return ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def marks(svg, top=70.0):
    """Centres of all marks below the legend."""
    root = ElementTree.fromstring(svg)
    found = [(float(each.get("cx")), float(each.get("cy"))) for each in root.iter(f"{SVG}circle")]
    for path in root.iter(f"{SVG}path"):
        numbers = path.get("d").replace("M", " ").replace("L", " ").split()
        found.append((sum(map(float, numbers[::2])) / 4, sum(map(float, numbers[1::2])) / 4))
    return [(x, y) for x, y in found if y > top]


def frames(svg):
    boxes = [each for each in ElementTree.fromstring(svg).iter(f"{SVG}rect") if each.get("fill") == "none"]
    return [tuple(float(each.get(name)) for name in ("x", "y", "width", "height")) for each in boxes]


def coordinates(svg):
    """All places of lines and texts."""
    root = ElementTree.fromstring(svg)
    for each in root.iter():
        yield from (float(each.get(name)) for name in ("x", "y", "x1", "y1", "x2", "y2") if each.get(name))
        yield from (float(part) for part in each.get("points", "").replace(",", " ").split())


def inside(place, frame):
    x, y, width, height = frame
    return x <= place[0] <= x + width and y <= place[1] <= y + height


SCORES = st.none() | st.floats() | st.floats(1e-6, 1e3)
ROWS = st.lists(
    st.tuples(st.sampled_from(["running", "finished", "pruned", "failed"]), SCORES, st.integers(0, 99)), max_size=12
)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.sampled_from(["min", "max"]), SCORES)
def test_whatever_the_scores_all_marks_lie_in_a_plot(rows, direction, untuned):
    trials = [
        TrialRow(number, state, setting(random.Random(seed)), score) for number, (state, score, seed) in enumerate(rows)
    ]
    search = view(trials, direction=direction, untuned=untuned)
    for svg in (history_svg(search), parameters_svg(search)):
        boxes = frames(svg)
        assert all(any(inside(mark, box) for box in boxes) for mark in marks(svg))
        assert all(map(math.isfinite, coordinates(svg)))
    ended = sum(state != "running" for state, _, _ in rows)
    best = search.best is not None and abs(search.best.score) <= 1e300
    assert len(marks(history_svg(search))) == ended + best


@pytest.mark.parametrize("draw", [history_svg, parameters_svg])
@pytest.mark.parametrize(
    "rows", [[], drawn(1), drawn(40), drawn(1000), drawn(30, 0.5), [TrialRow(0, "failed", {}, reason="x")]]
)
def test_any_number_of_trials(draw, rows):
    svg = draw(view(rows))
    boxes = frames(svg)
    for mark in marks(svg):
        assert any(inside(mark, box) for box in boxes)
    assert ("no finished trial" in svg) is not any(row.state == "finished" for row in rows)


class TestHistory:
    ROWS = (
        TrialRow(0, "finished", {}, 0.5),
        TrialRow(1, "pruned", {}, 0.9),
        TrialRow(2, "finished", {}, 0.2),
        TrialRow(3, "failed", {}, None, reason="the loss is NaN"),
        TrialRow(4, "finished", {}, 0.3),
        TrialRow(5, "running", {}),
    )

    def root(self, **facts):
        return ElementTree.fromstring(history_svg(view(self.ROWS, **facts)))

    def test_each_state_has_its_mark(self):
        circles = [each for each in self.root().iter(f"{SVG}circle") if float(each.get("cy")) > BOX.top]
        assert Counter(each.get("fill") for each in circles) == {FINISHED: 3, "none": 1, BEST: 1}
        hints = ["".join(each.itertext()) for each in self.root().iter(f"{SVG}path")]
        assert hints == ["trial 3, failed: the loss is NaN", "1 failed"]

    @pytest.mark.parametrize(("direction", "edge"), [("min", BOX.top), ("max", BOX.bottom)])
    def test_failures_lie_on_the_border_of_bad_scores(self, direction, edge):
        svg = history_svg(view(self.ROWS[3:4], direction=direction))
        assert abs(marks(svg)[0][1] - edge) <= 8

    def test_smaller_scores_are_lower_and_later_trials_further_right(self):
        circles = [each for each in self.root().iter(f"{SVG}circle") if each.get("fill") == FINISHED][:3]
        places = [(float(each.get("cx")), -float(each.get("cy"))) for each in circles]
        assert [x for x, _ in places] == sorted(x for x, _ in places)
        assert sorted(range(3), key=lambda place: places[place][1]) == [1, 2, 0]

    def test_the_best_so_far_is_a_line_of_steps_to_the_last_trial(self):
        (line,) = self.root().iter(f"{SVG}polyline")
        points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        assert len(points) == 4
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points
        assert y0 == y1 < y2 == y3
        assert x0 < x1 == x2 < x3

    def test_it_begins_anew_with_a_stage(self):
        rows = [replace(row, stage=1 + row.number // 4) for row in self.ROWS]
        root = ElementTree.fromstring(history_svg(view(rows)))
        assert len(list(root.iter(f"{SVG}polyline"))) == 2
        assert "stage 2" in texts(history_svg(view(rows)))

    def test_what_is_written(self):
        shown = texts(history_svg(view(self.ROWS, untuned=0.4)))
        assert shown[0] == "digits: val_loss of 5 trials (smaller is better)"
        for label in ("val_loss", "trial", "3 finished", "1 pruned", "1 failed", "untuned: 0.4000"):
            assert label in shown
        assert "best so far: 0.2000, trial 2" in shown

    def test_decades_make_the_axis_logarithmic(self):
        rows = [TrialRow(number, "finished", {}, 10.0**-number) for number in range(4)]
        assert {"0.001", "0.01", "0.1", "1"} <= set(texts(history_svg(view(rows))))

    def test_figures_do_not_overlap(self):
        for rows in (self.ROWS, drawn(40), drawn(1000)):
            root = ElementTree.fromstring(history_svg(view(rows)))
            figures = [each for each in root.iter(f"{SVG}text") if each.get("text-anchor") == "end"]
            heights = sorted(float(each.get("y")) for each in figures)
            assert all(below - above > 11 for above, below in zip(heights, heights[1:], strict=False))


class TestParameters:
    def test_one_plot_a_key_with_its_whole_name(self):
        svg = parameters_svg(view(drawn(20)))
        assert [box[2:] for box in frames(svg)] == [(PANEL_WIDTH, PANEL_HEIGHT)] * 5
        assert set(SPACE) <= set(texts(svg))
        assert {"[64]", "[128, 128]", "1e-5", "0.1"} <= set(texts(svg))

    def test_the_important_come_first(self):
        svg = parameters_svg(view(drawn(20)), {"model.hidden": 0.7, "noise": 0.3})
        names = [text for text in texts(svg) if text in SPACE]
        assert names == ["model.hidden", "noise", "train.optimizer.lr", "model.dropout", "model.layers"]
        assert {"importance 70%", "importance 30%"} <= set(texts(svg))

    def test_a_logarithmic_range_has_even_decades(self):
        rows = [TrialRow(number, "finished", {"lr": 10.0 ** (number - 4)}, 1.0) for number in range(4)]
        svg = parameters_svg(view(rows, space={"lr": ParameterRange(1e-5, 1e-1, log=True)}))
        across = sorted({x for x, _ in marks(svg)})
        steps = [right - left for left, right in zip(across, across[1:], strict=False)]
        assert steps == pytest.approx([steps[0]] * 3, abs=0.2)

    def test_equal_scores_of_a_choice_lie_side_by_side(self):
        rows = [TrialRow(number, "finished", {"act": "relu"}, 0.5) for number in range(9)]
        svg = parameters_svg(view(rows, space={"act": ParameterRange(choices=("relu", "gelu"))}))
        places = marks(svg)
        assert len({x for x, _ in places}) == 9  # and the best once more
        (left, _, width, _), *_ = frames(svg)
        assert all(left <= x <= left + width / 2 for x, _ in places)

    def test_a_key_is_drawn_only_where_it_has_a_value(self):
        rows = [TrialRow(0, "finished", {"a": 1.0}, 0.5), TrialRow(1, "finished", {"a": 2.0, "b": 1.0}, 0.4)]
        svg = parameters_svg(view(rows, space={"a": ParameterRange(0, 3), "b": ParameterRange(0, 3)}))
        counts = [sum(inside(mark, box) for mark in marks(svg)) for box in frames(svg)]
        assert counts == [3, 2]  # with the best

    def test_only_the_last_stage_is_drawn(self):
        rows = [TrialRow(0, "finished", {"a": 1.0}, 0.1), TrialRow(1, "finished", {"a": 2.0}, 0.4, stage=2)]
        svg = parameters_svg(view(rows, space={"a": ParameterRange(0, 3)}))
        assert len(marks(svg)) == 2  # the trial, and over it the best

    def test_many_long_choices_are_written_aslant_and_thinned(self):
        names = tuple(f"a choice of number {number}" for number in range(30))
        rows = [TrialRow(number, "finished", {"a": name}, 0.5) for number, name in enumerate(names)]
        root = ElementTree.fromstring(parameters_svg(view(rows, space={"a": ParameterRange(choices=names)})))
        aslant = [each for each in root.iter(f"{SVG}text") if "rotate(-35" in each.get("transform", "")]
        assert len(aslant) == 10
        assert aslant[0].find(f"{SVG}title").text == names[0]

    def test_no_keys(self):
        assert frames(parameters_svg(view([], space={}))) == []


@pytest.mark.parametrize("draw", [history_svg, parameters_svg])
def test_names_are_escaped(draw):
    odd = '<b>&"学习\x00'
    rows = [TrialRow(0, "finished", {odd: odd}, 0.5), TrialRow(1, "failed", {odd: odd}, reason=odd)]
    search = view(rows, space={odd: ParameterRange(choices=(odd,))})
    svg = draw(replace(search, name=odd, monitor=odd))
    assert any(r'<b>&"学习\x00' in text for text in texts(svg))


def test_not_a_number_lies_on_the_border():
    rows = [TrialRow(0, "finished", {}, math.nan), TrialRow(1, "finished", {}, 0.5)]
    assert BOX.top + 8 in [y for _, y in marks(history_svg(view(rows)))]
