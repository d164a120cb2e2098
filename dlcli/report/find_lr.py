"""What the learning-rate range test found: a curve of the loss over the rate, and the rates that it suggests."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from dlcli.report.axis import LARGEST, spanning
from dlcli.report.curve import curve
from dlcli.report.figures import count_of
from dlcli.report.layout import folded, line
from dlcli.report.panel import Box, draw_frame, draw_label, draw_x_axis, draw_y_axis
from dlcli.report.svg import Drawing

if TYPE_CHECKING:
    from dlcli.experiment.find_lr import RangeTest

STEEPEST, MINIMUM = "green", "magenta"
WIDTH, HEIGHT = 760, 460
BOX = Box(84, 76, 740, 404)
LOSS, SMOOTHED, STEEPEST_INK, MINIMUM_INK = "#c4d8e8", "#0072b2", "#009e73", "#cc79a7"


def find_lr_view(test: "RangeTest") -> RenderableType:
    """Return the picture of a range test."""
    first, last = test.points[0], test.points[-1]
    steps = f"{count_of(len(test.points), 'step')}, learning rate {_rounded(first.learning_rate)} to "
    parts: list[RenderableType] = [
        line("recipe", f"{test.name}, {test.optimizer} with lr {test.learning_rate:g}"),
        line("tested", f"{steps}{_rounded(last.learning_rate)}"),
        *(folded("note", note, style="yellow") for note in test.notes),
        "",
        *curve([(point.learning_rate, min(point.smoothed_loss, LARGEST)) for point in test.points], _marks(test)),
        "",
        folded("ended", test.ended or "at the highest rate; the loss did not explode"),
    ]
    if test.steepest is None or test.minimum_tenth is None:
        text = "none: the loss never fell; look at the data, the loss and the architecture before the rate"
        return Group(*parts, folded("suggests", text, style="yellow"))
    return Group(
        *parts,
        line("suggests", (f"{_rounded(test.steepest):8}", STEEPEST), " where the loss falls most steeply"),
        line("", (f"{_rounded(test.minimum_tenth):8}", MINIMUM), " a tenth of the rate of the smallest loss"),
        "",
        line("next", f"dlcli train RECIPE --set train.optimizer.lr={_rounded(min(test.steepest, test.minimum_tenth))}"),
        line("", "that is the smaller of the two"),
    )


def find_lr_svg(test: "RangeTest") -> str:
    """Return the loss of each batch, its running mean and the suggested rates over the rate, as an SVG document."""
    title = f"{test.name}: loss over the learning rate of {test.optimizer}"
    drawing = Drawing(WIDTH, HEIGHT, title)
    drawing.text((BOX.left, 28), title, size=16, bold=True, most=BOX.width)
    losses = [point.loss for point in test.points if abs(point.loss) <= LARGEST]
    across = spanning([point.learning_rate for point in test.points], BOX.left, BOX.right, log=True)
    up = spanning(losses or [0.0], BOX.bottom, BOX.top)
    draw_y_axis(drawing, BOX, up, "loss")
    draw_x_axis(drawing, BOX, across, "learning rate")
    drawing.polyline([(across.place(p.learning_rate), up.place(p.loss)) for p in test.points], LOSS)
    smoothed = [(across.place(p.learning_rate), up.place(p.smoothed_loss)) for p in test.points]
    drawing.polyline(smoothed, SMOOTHED, width=2)
    x = BOX.left
    for label, ink in (("batch", LOSS), ("running mean", SMOOTHED)):
        drawing.line((x, 53), (x + 18, 53), ink, width=3)
        x = draw_label(drawing, x + 24, 53, label)
    for label, value, ink in (
        ("steepest", test.steepest, STEEPEST_INK),
        ("minimum / 10", test.minimum_tenth, MINIMUM_INK),
    ):
        if value is not None:
            place = across.place(value)
            drawing.line((place, BOX.top), (place, BOX.bottom), ink, width=2, dash="5 4")
            drawing.line((x, 53), (x + 18, 53), ink, width=3, dash="5 4")
            x = draw_label(drawing, x + 24, 53, f"{label}: {_rounded(value)}")
    draw_frame(drawing, BOX)
    return drawing.render()


def _rounded(rate: float) -> str:
    """Return a rate to two digits, which is more than the test can tell."""
    return f"{rate:.2g}"


def _marks(test: "RangeTest") -> list[tuple[float, str]]:
    marks = ((test.steepest, STEEPEST), (test.minimum_tenth, MINIMUM))
    return [(value, style) for value, style in marks if value is not None]
