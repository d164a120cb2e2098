"""A picture of an activation: its function and its derivative."""

from typing import TYPE_CHECKING

from dlcli.report.axis import Axis, spanning
from dlcli.report.panel import Box, draw_frame, draw_x_axis, draw_y_axis
from dlcli.report.svg import INK, Drawing
from dlcli.report.tune_marks import drawable

if TYPE_CHECKING:
    from dlcli.experiment.activation_curve import ActivationCurve

WIDTH, HEIGHT = 660.0, 460.0
BOX = Box(78.0, 100.0, 636.0, 390.0)
BLUE, ORANGE = "#0072b2", "#d55e00"
DASH = "6 4"
LINE = 18.0
"""Height of a line of text."""


def activation_svg(curve: "ActivationCurve") -> str:
    """Return the picture of an activation, as an SVG document."""
    drawing = Drawing(WIDTH, HEIGHT + LINE * max(len(curve.notes) - 1, 0), f"{curve.name} and its derivative")
    drawing.text((BOX.left, 28), curve.name, size=16, bold=True, most=BOX.width)
    for place, (name, colour, dash) in enumerate((("formula", BLUE, ""), ("gradient", ORANGE, DASH))):
        y = 54 + place * LINE
        drawing.line((BOX.left, y - 4), (BOX.left + 34, y - 4), colour, width=2.5, dash=dash)
        symbol = "f(x)" if name == "formula" else "f′(x)"
        drawing.text((BOX.left + 44, y), f"{symbol} = {curve.facts[name]}", most=BOX.width - 44)
    across = Axis(curve.x[0], curve.x[-1], BOX.left, BOX.right)
    values = [value for value in (*curve.function, *curve.derivative) if drawable(value)]
    up = spanning([*values, 0.0], BOX.bottom, BOX.top, log=False)
    draw_y_axis(drawing, BOX, up, "y")
    draw_x_axis(drawing, BOX, across, "x")
    drawing.line((BOX.left, up.place(0)), (BOX.right, up.place(0)), INK)
    drawing.line((across.place(0), BOX.top), (across.place(0), BOX.bottom), INK)
    for outputs, colour, dash in ((curve.derivative, ORANGE, DASH), (curve.function, BLUE, "")):
        points = [(across.place(x), up.place(y)) for x, y in zip(curve.x, outputs, strict=True) if drawable(y)]
        drawing.polyline(points, colour, width=2.5, dash=dash)
    draw_frame(drawing, BOX)
    for place, note in enumerate(curve.notes):
        drawing.text((BOX.left, BOX.bottom + 58 + place * LINE), note, most=BOX.width)
    return drawing.render()
