"""A picture of a network: its layers in the order of passing, with shapes, parameters, branches and repeated parts."""

from typing import TYPE_CHECKING

from dlcli.report.diagram_layout import layout_of
from dlcli.report.diagram_place import MARGIN, Place, Placement
from dlcli.report.diagram_rows import Repeat, Row, rows_of
from dlcli.report.diagram_style import (
    CHIP,
    COLOURS,
    FADED,
    LARGE,
    LEGEND,
    PADDING,
    SMALL,
    WIDTH,
    chip_width,
    first_line,
    is_tall,
    parameters_text,
    second_line,
    shape_text,
)
from dlcli.report.figures import count_of
from dlcli.report.svg import INK, Drawing, text_width

if TYPE_CHECKING:
    from dlcli.experiment.diagram.graph import NetworkGraph

TOP, BELOW = 92.0, 64.0
"""Height of the title, and of the legend."""
LINE = "#444444"
FRAME, FRAME_EDGE = "#f8f8f8", "#999999"
LEAST_WIDTH = 520.0
BOLD = 1.12
"""How much wider bold letters are."""


def diagram_svg(graph: "NetworkGraph") -> str:
    """Return a network as an SVG document.

    Args:
        graph: The network.

    Returns:
        A picture that depends on the graph alone; what does not fit on a sheet of paper in one piece is cut into
        pieces side by side.
    """
    rows, repeats = rows_of(graph.blocks)
    layout = layout_of(rows, repeats)
    placement = Placement(rows, repeats, layout, TOP)
    right, bottom = placement.size
    right = max(right, LEAST_WIDTH)
    drawing = Drawing(round(right), round(bottom + BELOW), f"network of {graph.title}")
    drawing.text((MARGIN, 36), graph.title, size=17, bold=True, most=right - 2 * MARGIN)
    drawing.text((MARGIN, 57), f"{count_of(graph.parameters, 'parameter')}; shapes of one row", fill=FADED)
    for repeat in repeats:
        _draw_repeat(drawing, placement, repeat)
    for line in layout.lines:
        drawing.arrow(placement.path(line), LINE, width=1.3)
        if (joint := placement.starts_aside(line)) is not None:
            drawing.circle(joint, 2.2, fill=LINE)
    for row, place in zip(rows, placement.places, strict=True):
        _draw_row(drawing, row, place)
    _draw_legend(drawing, rows, bottom + 40, right - MARGIN)
    return drawing.render()


def _draw_repeat(drawing: Drawing, placement: Placement, repeat: Repeat) -> None:
    frame = placement.frame(repeat)
    drawing.box(
        (frame.left, frame.top), (frame.right, frame.bottom), fill=FRAME, stroke=FRAME_EDGE, radius=8, dash="5 4"
    )
    begin, most = placement.words(repeat)
    times = f"× {repeat.times}"
    drawing.text(begin, times, size=14, bold=True)
    after = text_width(times, 14) + 6
    drawing.text((begin[0] + after, begin[1]), repeat.name, size=SMALL, fill=FADED, most=most - after)


def _draw_row(drawing: Drawing, row: Row, place: Place) -> None:
    fill, edge = COLOURS[row.block.kind]
    end = place.left + WIDTH
    drawing.box((place.left, place.top), (end, place.bottom), fill=fill, stroke=edge, radius=4)
    base = place.top + (17 if is_tall(row) else place.centre - place.top + 4)
    size = shape_text(row.block)
    left, right = place.left + PADDING, end - PADDING
    drawing.text((right, base), size, size=LARGE, anchor="end")
    room = right - left - text_width(size, LARGE) - PADDING
    words = first_line(row.block)
    drawing.text((left, base), words, size=LARGE, bold=True, most=room)
    if not is_tall(row) and row.block.name:
        after = BOLD * text_width(words, LARGE) + 8
        drawing.text((left + after, base), row.block.name, size=SMALL, fill=FADED, most=max(0, room - after))
    if is_tall(row):
        learnt = parameters_text(row)
        drawing.text((right, base + 17), learnt, size=SMALL, anchor="end", fill=FADED)
        room = right - left - text_width(learnt, SMALL) - PADDING
        below = second_line(row.block)
        drawing.text((left, base + 17), _ending(below, room), size=SMALL, fill=FADED, hint=below)
    for block in row.beside:
        fill, edge = COLOURS[block.kind]
        begin, end = end, end + chip_width(block)
        drawing.box((begin, place.top), (end, place.bottom), fill=fill, stroke=edge, radius=4, hint=block.name)
        drawing.text(((begin + end) / 2, place.centre + 4), block.label, size=CHIP, anchor="middle")


def _ending(name: str, most: float) -> str:
    """Return a name whose beginning is left out where it is too long: what it ends with tells layers apart."""
    if text_width(name, SMALL) <= most:
        return name
    while text_width(f"…{name}", SMALL) > most:
        name = name[1:]
    return f"…{name}"


def _draw_legend(drawing: Drawing, rows: list[Row], height: float, right: float) -> None:
    used = {block.kind for row in rows for block in (row.block, *row.beside)}
    x = MARGIN
    for kind, words in LEGEND.items():
        if kind not in used:
            continue
        wide = 20 + text_width(words, SMALL) + 12
        if x + wide > right and x > MARGIN:
            x, height = MARGIN, height + 18
        fill, edge = COLOURS[kind]
        drawing.box((x, height - 10), (x + 14, height + 2), fill=fill, stroke=edge, radius=2)
        drawing.text((x + 20, height), words, size=SMALL, fill=INK)
        x += wide
