"""An activation drawn in the terminal: its function as a line of braille dots, its derivative as a dashed one."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from dlcli.report.axis import Axis, spanning
from dlcli.report.layout import folded
from dlcli.report.tune_marks import drawable

if TYPE_CHECKING:
    from dlcli.experiment.activation_curve import ActivationCurve

ROWS, WIDEST = 20, 100
"""Height of the plot, and its largest width, in characters."""
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""What each dot of a braille character, two across and four down, adds to the code of the empty one."""
BRAILLE = 0x2800
FUNCTION, DERIVATIVE, AXES = "cyan", "magenta", "bright_black"
DASH = 3
"""Dots of a dash, and of the gap behind it."""


def activation_view(curve: "ActivationCurve") -> RenderableType:
    """Return an activation with its plot, legend, facts and notes."""
    legend = (
        Text.assemble(("━━━  ", FUNCTION), "f(x) = ", curve.facts["formula"]),
        Text.assemble(("╍╍╍  ", DERIVATIVE), "f′(x) = ", curve.facts["gradient"]),
    )
    rest = [(name, text) for name, text in curve.facts.items() if name not in ("formula", "gradient")]
    return Group(
        Text(curve.name, style="bold cyan"),
        *legend,
        "",
        CurvePlot(curve.x, curve.function, curve.derivative),
        "",
        *(folded(name, text, width=14) for name, text in rest),
        *(folded("note", note, style="yellow", width=14) for note in curve.notes),
    )


class CurvePlot:
    """Two functions of x in one plot, as wide as the console lets it be.

    Args:
        x: Inputs, rising and evenly spaced.
        function: Drawn as a line.
        derivative: Drawn as a dashed line.
    """

    def __init__(self, x: Sequence[float], function: Sequence[float], derivative: Sequence[float]) -> None:
        self._x, self._function, self._derivative = x, function, derivative

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Yield the plot line by line."""
        values = [value for value in (*self._function, *self._derivative) if drawable(value)]
        up = spanning([*values, 0.0], 4 * ROWS - 1, 0, log=False)
        names = {int(up.place(value) // 4): label for value, label in up.ticks(6)}
        margin = max(map(len, names.values())) + 2
        columns = max(min(options.max_width, WIDEST) - margin, 8)
        across = Axis(self._x[0], self._x[-1], 0, 2 * columns - 1)
        line = set(_dots(self._function, columns, up))
        dashes = {dot for place, dot in enumerate(_dots(self._derivative, columns, up)) if place // DASH % 2 == 0}
        zero = int(up.place(0) // 4), int(across.place(0) // 2)
        for row in range(ROWS):
            yield Segment(f"{names.get(row, ''):>{margin - 2}} {'┤' if row in names else '│'}", _style(AXES))
            for column in range(columns):
                yield _cell(row, column, line, dashes, zero)
            yield Segment.line()
        yield from _x_axis(across, margin, columns)


def _style(color: str) -> Style:
    return Style(color=color)


def _dots(values: Sequence[float], columns: int, up: Axis) -> list[tuple[int, int]]:
    """Return the dots, across and down, of a line through values, in its order; it is unbroken where they jump."""
    found: list[tuple[int, int]] = []
    before: int | None = None
    for across in range(2 * columns):
        value = values[round(across * (len(values) - 1) / (2 * columns - 1))]
        if not drawable(value):
            before = None
            continue
        here = round(up.place(value))
        way = 1 if before is None or here >= before else -1
        start = here if before is None or here == before else before + way
        found += [(across, down) for down in range(start, here + way, way)]
        before = here
    return found


def _cell(
    row: int, column: int, line: set[tuple[int, int]], dashes: set[tuple[int, int]], zero: tuple[int, int]
) -> Segment:
    """Return one character: the dots in it, else what there is of the axes through 0."""
    codes = []
    for dots in (line, dashes):
        held = [
            DOTS[down][across]
            for down in range(4)
            for across in range(2)
            if (2 * column + across, 4 * row + down) in dots
        ]
        codes.append(sum(held))
    if any(codes):
        return Segment(chr(BRAILLE + (codes[0] | codes[1])), _style(FUNCTION if codes[0] else DERIVATIVE))
    at = (row == zero[0], column == zero[1])
    mark = {(True, True): "┼", (True, False): "─", (False, True): "│", (False, False): " "}[at]
    return Segment(mark, _style(AXES))


def _x_axis(across: Axis, margin: int, columns: int) -> Iterator[Segment]:
    """Yield the lower edge with its ticks, and the figures below."""
    ticks = {int(across.place(value) // 2): label for value, label in across.ticks(max(columns // 6, 2))}
    edge = "".join("┬" if column in ticks else "─" for column in range(columns))
    yield Segment(f"{'':{margin - 1}}└{edge}", _style(AXES))
    yield Segment.line()
    figures = [" "] * (margin + columns + 2)
    for column, label in ticks.items():
        start = margin + column - len(label) // 2
        figures[start : start + len(label)] = label
    yield Segment("".join(figures)[: margin + columns].rstrip(), _style(AXES))
    yield Segment.line()
