"""The frame of a plot: grid, ticks and names of its axes."""

from dataclasses import dataclass

from dlcli.report.axis import Axis
from dlcli.report.svg import INK, Drawing, text_width

GRID = "#e6e6e6"
EDGE = "#999999"
TICK_SIZE = 11


@dataclass(frozen=True)
class Box:
    """The plot area, in pixels.

    Args:
        left: Its left edge.
        top: Its upper edge.
        right: Its right edge.
        bottom: Its lower edge.
    """

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Pixels from left to right."""
        return self.right - self.left

    @property
    def middle(self) -> tuple[float, float]:
        """Its centre."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


def draw_frame(drawing: Drawing, box: Box) -> None:
    """Draw the edge of a plot; last, so that the grid does not cross it."""
    drawing.frame((box.left, box.top), (box.right, box.bottom), EDGE)


def draw_y_axis(drawing: Drawing, box: Box, axis: Axis | None, name: str, *, labelled: bool = True) -> None:
    """Draw the grid of the vertical axis, its figures and its name.

    Args:
        drawing: Where to draw.
        box: The plot area.
        axis: The axis; None where there are no values: then only its name is written.
        name: Its name.
        labelled: Whether figures and name are written; else only the grid is drawn.
    """
    for value, label in axis.ticks(6) if axis else []:
        y = axis.place(value) if axis else 0
        drawing.line((box.left, y), (box.right, y), GRID)
        if labelled:
            drawing.text((box.left - 8, y + 4), label, size=TICK_SIZE, anchor="end")
    if labelled:
        height = box.bottom - box.top
        drawing.text((box.left - 58, box.middle[1]), name, anchor="middle", turn=-90, most=height + 40)


def draw_x_axis(drawing: Drawing, box: Box, axis: Axis | None, name: str, *, drop: float = 38) -> None:
    """Draw the grid of the horizontal axis, its figures and its name.

    Args:
        drawing: Where to draw.
        box: The plot area.
        axis: The axis; None where there are no figures: then only its name is written.
        name: Its name.
        drop: Pixels from the plot area down to the name.
    """
    for value, label in axis.ticks(max(int(box.width / 50), 2)) if axis else []:
        x = axis.place(value) if axis else 0
        drawing.line((x, box.top), (x, box.bottom), GRID)
        drawing.text((x, box.bottom + 16), label, size=TICK_SIZE, anchor="middle")
    drawing.text((box.middle[0], box.bottom + drop), name, anchor="middle", most=box.width + 40)


def draw_message(drawing: Drawing, box: Box, message: str) -> None:
    """Write a sentence in the middle of a plot that has nothing to show."""
    x, y = box.middle
    drawing.text((x, y), message, anchor="middle", fill=INK, most=box.width - 12)


def draw_label(drawing: Drawing, x: float, y: float, label: str) -> float:
    """Write what a mark in a legend means, and return where the next mark begins."""
    drawing.text((x, y + 4), label)
    return x + text_width(label, 12) + 18
