"""A curve as an area of bars over several lines of text, with a logarithmic axis below."""

from collections.abc import Sequence
from itertools import pairwise

from rich.text import Text

from dlcli.report.axis import spanning
from dlcli.report.sparkline import LEVELS

WIDTH, HEIGHT = 64, 10
"""Characters of the plot itself, without what is written beside it."""
GUTTER = 9
"""Characters to the left of it."""
TICKS = 6


def curve(points: Sequence[tuple[float, float]], marks: Sequence[tuple[float, str]] = ()) -> list[Text]:
    """Return lines of text that show a curve over a logarithmic axis.

    Args:
        points: Values across, > 0 and rising, and up; two at least, all finite.
        marks: Values across that are marked, each with the colour of its mark, below the axis.

    Returns:
        The lines: `HEIGHT` of the curve, the axis, the marks where there are any, and what is written below the axis.
    """
    across = spanning([x for x, _ in points], 0, WIDTH - 1, log=True)
    heights = _columns([(across.place(x), y) for x, y in points])
    # The lowest value is one step high, so that nothing that is there vanishes.
    up = spanning([y for _, y in points], 1, HEIGHT * len(LEVELS))
    steps = [None if height is None else round(up.place(height)) for height in heights]
    labels = {HEIGHT - 1 - int((up.place(value) - 1) // len(LEVELS)): label for value, label in up.ticks(5)}
    lines = []
    for row in range(HEIGHT):
        floor = (HEIGHT - 1 - row) * len(LEVELS)
        bars = "".join(
            " " if step is None or step <= floor else LEVELS[min(step - floor, len(LEVELS)) - 1] for step in steps
        )
        edge = "┤" if row in labels else "│"
        lines.append(Text.assemble(f"{labels.get(row, ''):>{GUTTER - 1}}", (edge, "dim"), (bars, "cyan"), no_wrap=True))
    ticks = [(round(across.place(value)), label) for value, label in across.ticks(TICKS)]
    places = {place for place, _ in ticks}
    axis = "".join("┬" if place in places else "─" for place in range(WIDTH))
    lines.append(Text.assemble(" " * (GUTTER - 1), (f"└{axis}", "dim"), no_wrap=True))
    if marks:
        lines.append(_marked([(round(across.place(value)), style) for value, style in marks]))
    lines.append(_labelled(ticks))
    return lines


def _columns(placed: Sequence[tuple[float, float]]) -> list[float | None]:
    """Return the mean height of each column's points; of an empty column between two, what lies between them."""
    found: list[list[float]] = [[] for _ in range(WIDTH)]
    for place, height in placed:
        found[round(place)].append(height)
    means = [sum(heights) / len(heights) if heights else None for heights in found]
    known = [(place, mean) for place, mean in enumerate(means) if mean is not None]
    for (left, before), (right, after) in pairwise(known):
        for place in range(left + 1, right):
            means[place] = before + (after - before) * (place - left) / (right - left)
    return means


def _marked(marks: Sequence[tuple[int, str]]) -> Text:
    letters = [" "] * (GUTTER + WIDTH)
    for place, _ in marks:
        letters[GUTTER + place] = "▲"
    text = Text("".join(letters).rstrip(), no_wrap=True)
    for place, style in marks:
        text.stylize(style, GUTTER + place, GUTTER + place + 1)
    return text


def _labelled(ticks: Sequence[tuple[int, str]]) -> Text:
    """Write each label with its middle below its tick."""
    text = ""
    for place, label in ticks:
        text = f"{text:<{GUTTER + place - len(label) // 2}}{label} "
    return Text(text.rstrip(), no_wrap=True)
