import io
import math
import xml.etree.ElementTree as ElementTree

import pytest
from rich.console import Console

from dlcli.experiment.activation_curve import ActivationCurve
from dlcli.report.activation_plot import FUNCTION, CurvePlot, activation_view
from dlcli.report.activation_svg import BLUE, BOX, ORANGE, activation_svg

X = tuple(place / 80 - 5 for place in range(801))
FACTS = {"formula": "max(0, x)", "gradient": "1 for x > 0, else 0", "range": "[0, inf)", "zero-centred": "no"}
RELU = ActivationCurve(
    "relu", FACTS, X, tuple(max(x, 0.0) for x in X), tuple(float(x > 0) for x in X), ("<held> at 0",)
)


def dots(line):
    """Return the dots of a line of braille: columns of dots, and rows of dots from above."""
    found = set()
    for column, letter in enumerate(line):
        code = ord(letter) - 0x2800
        if 0 < code < 256:
            for bit, place in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]):
                if code >> bit & 1:
                    found.add((2 * column + place[0], place[1]))
    return found


def test_a_line_rises_from_corner_to_corner(text):
    lines = text(CurvePlot(X, X, [0.0] * len(X)), width=60).splitlines()
    assert len(lines) == 22
    assert {len(line) for line in lines} <= {60, len(lines[-1])}
    drawn = {}
    for row, line in enumerate(lines[:20]):
        for across, down in dots(line):
            drawn.setdefault(across, set()).add(4 * row + down)
    columns = sorted(drawn)
    assert columns == list(range(columns[0], 120))  # unbroken, to the right edge
    slope = (max(drawn[columns[0]]) - min(drawn[119])) / (119 - columns[0])
    for across in columns:
        expected = max(drawn[columns[0]]) - slope * (across - columns[0])
        assert min(abs(down - expected) for down in drawn[across]) <= 2
    assert lines[20].lstrip().startswith("└")
    assert lines[21].split() == ["-4", "-2", "0", "2", "4"]
    assert [line.split("┤")[0].strip() for line in lines if "┤" in line] == ["4", "2", "0", "-2", "-4"]


def test_the_derivative_is_dashed_so_that_it_can_be_told_without_colour(text):
    flat = text(CurvePlot(X, [-1.0] * len(X), [1.0] * len(X)), width=60).splitlines()
    rows = [sorted({across for across, _ in dots(line)}) for line in flat if dots(line)]
    dashed, solid = rows
    assert solid == list(range(solid[0], 120))
    assert [across for across in solid if (across - solid[0]) // 3 % 2 == 0] == dashed


def test_a_jump_is_drawn_as_a_line(text):
    step = [float(x > 0) for x in X]
    lines = text(CurvePlot(X, step, [0.0] * len(X)), width=60).splitlines()
    assert all(dots(line) for line in lines[1:19])


def test_a_value_that_is_not_finite_is_left_out(text):
    values = [math.inf if x < 0 else x for x in X]
    lines = text(CurvePlot(X, values, [math.nan] * len(X)), width=60).splitlines()
    assert min(across for line in lines for across, _ in dots(line)) >= 60


@pytest.mark.parametrize("width", [20, 40, 80, 300])
def test_it_is_as_wide_as_it_may_be(text, width):
    lines = text(activation_view(RELU), width=width).splitlines()
    assert max(map(len, lines)) <= min(width, 100) or width > 100
    assert max(len(line.rstrip()) for line in lines if any(0x2800 < ord(letter) < 0x2900 for letter in line)) <= 100


def test_legend_facts_and_notes(text):
    shown = text(activation_view(RELU))
    assert shown.startswith("relu\n━━━  f(x) = max(0, x)\n╍╍╍  f′(x) = 1 for x > 0, else 0\n")
    assert "range         [0, inf)" in shown
    assert "note          <held> at 0" in shown


@pytest.mark.parametrize("coloured", [True, False])
def test_colours_are_the_consoles_to_give(coloured):
    file = io.StringIO()
    console = Console(file=file, width=60, force_terminal=True, color_system="standard", no_color=not coloured)
    console.print(activation_view(RELU))
    assert ("\x1b[36m" in file.getvalue()) == coloured
    assert FUNCTION == "cyan"


def test_the_picture_is_well_formed_and_has_both_curves():
    root = ElementTree.fromstring(activation_svg(RELU))
    space = "{http://www.w3.org/2000/svg}"
    lines = {line.get("stroke"): line for line in root.iter(f"{space}polyline")}
    assert set(lines) == {BLUE, ORANGE}
    assert lines[ORANGE].get("stroke-dasharray")
    points = [tuple(map(float, point.split(","))) for point in lines[BLUE].get("points").split()]
    assert points[0][0] == BOX.left
    assert points[-1][0] == BOX.right
    assert all(BOX.top <= y <= BOX.bottom for _, y in points)
    assert points[-1][1] < points[0][1]
    words = [each.text or each[-1].tail for each in root.iter(f"{space}text")]
    for word in ("relu", "f(x) = max(0, x)", "f′(x) = 1 for x > 0, else 0", "<held> at 0", "-5", "0", "5"):
        assert word in words
