"""A picture of what each tuned key does to the score: one small plot a key."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from dlcli.report.axis import LARGEST, Axis, spanning
from dlcli.report.figures import count_of
from dlcli.report.panel import TICK_SIZE, Box, draw_frame, draw_message, draw_x_axis, draw_y_axis
from dlcli.report.svg import Drawing, fitted, text_width
from dlcli.report.tune_marks import CROWDED, draw_best, draw_legend, draw_mark, drawable, height, radius_for, score_axis
from dlcli.report.tune_text import shortened, value_text
from dlcli.report.tune_view import ParameterRange, TrialRow, TuneView

COLUMNS = 3
PANEL_WIDTH, PANEL_HEIGHT = 290.0, 210.0
LEFT, TOP, GAP = 84.0, 86.0, 20.0
DROP, TURN = 38.0, 35.0
"""Pixels from a plot down to its key, and degrees by which choices are turned that are written aslant."""
BELOW_KEY = 26.0
MOST_CHOICES = 12
LONGEST_CHOICE = 18
"""Most characters of a choice that is written aslant."""
FEW_NUMBERS = 12
"""A range of whole numbers up to this wide is drawn like choices: trials lie side by side."""


def parameters_svg(view: TuneView, importances: Mapping[str, float] | None = None) -> str:
    """Return one plot for each tuned key: its values against the score, the best trial highlighted.

    The axes are those of the ranges that were searched, logarithmic where the range is. Trials that share a choice and
    a score lie side by side. Trials without a score lie on the border of bad scores; those in which a key had no
    meaning are left out of its plot. Of a search in stages, the last is shown.

    Args:
        view: The search.
        importances: Share of each key, which is written in its plot; the largest come first. None: as in the space.

    Returns:
        An SVG document.
    """
    shares = importances or {}
    keys = sorted(view.space, key=lambda key: -shares.get(key, 0.0))
    rows = [row for row in view.trials if row.state != "running"]
    last = max((row.stage for row in rows if row.state == "finished"), default=1)
    rows = [row for row in rows if row.stage == last]
    columns = max(min(COLUMNS, len(keys)), 1)
    lines = [keys[start : start + columns] for start in range(0, len(keys), columns)]
    # All keys of a line are written at one height, so that none runs into the aslant choices of the next plot.
    drops = [max(_drop(_choices(view.space[key], rows, key)) for key in line) for line in lines]
    title = f"{view.name}: {view.monitor} against {count_of(len(keys), 'tuned key')}"
    width = LEFT + max(columns, 2) * (PANEL_WIDTH + GAP)
    drawing = Drawing(width, TOP + sum(PANEL_HEIGHT + drop + BELOW_KEY for drop in drops), title)
    drawing.text((LEFT, 28), title, size=16, bold=True, most=width - LEFT - GAP)
    draw_legend(drawing, (LEFT + 4, 53), view, rows, lines=False)
    top = TOP
    for line, drop in zip(lines, drops, strict=True):
        for place, key in enumerate(line):
            left = LEFT + place * (PANEL_WIDTH + GAP)
            box = Box(left, top, left + PANEL_WIDTH, top + PANEL_HEIGHT)
            _draw_panel(drawing, box, view, key, rows, first=place == 0, drop=drop)
            if key in shares:
                drawing.text((box.right, box.top - 5), f"importance {shares[key]:.0%}", size=TICK_SIZE, anchor="end")
        top += PANEL_HEIGHT + drop + BELOW_KEY
    return drawing.render()


def _draw_panel(
    drawing: Drawing, box: Box, view: TuneView, key: str, rows: Sequence[TrialRow], *, first: bool, drop: float
) -> None:
    """Draw one key's plot; `first` is the first of its line, which has the figures of the score."""
    span = view.space[key]
    shown = [row for row in rows if key in row.setting and (span.choices or _is_number(row.setting[key]))]
    up = score_axis(view, rows, box)
    draw_y_axis(drawing, box, up, view.monitor, labelled=first)
    radius = radius_for(len(rows))
    levels = {row.number: height(view, row, up, box) for row in shown}
    across = None if span.choices else _number_axis(span, [row.setting[key] for row in shown], box)
    draw_x_axis(drawing, box, across, key, drop=drop)
    if across is None:
        names = _choices(span, shown, key)
        slot = box.width / max(len(names), 1)
        _draw_choices(drawing, box, names, slot)
        middles = {row.number: box.left + (names.index(value_text(row.setting[key])) + 0.5) * slot for row in shown}
    else:
        middles = {row.number: across.place(row.setting[key]) for row in shown}
        few = span.whole and not span.log and across.high - across.low <= FEW_NUMBERS + 1.2
        slot = abs(across.place(across.low + 1) - across.place(across.low)) if few else 0.0
    places = _side_by_side(middles, levels, slot, radius) if slot else middles
    for row in shown:
        draw_mark(drawing, row, (places[row.number], levels[row.number]), radius, hinted=len(rows) < CROWDED)
    best = view.best
    if best is not None and best.number in places and drawable(best.score):
        draw_best(drawing, best, (places[best.number], levels[best.number]))
    draw_frame(drawing, box)
    if not any(row.state == "finished" for row in shown):
        draw_message(drawing, box, "no finished trial")


def _number_axis(span: ParameterRange, values: Sequence[float], box: Box) -> Axis | None:
    """The axis of the searched range, or of the values where it has no ends; None where there is neither."""
    ends = [end for end in (span.low, span.high) if end is not None and abs(end) <= LARGEST]
    known = [float(value) for value in (*ends, *values)]
    if span.log:
        known = [value for value in known if value > 0]
    if not known:
        return None
    if span.whole and not span.log and max(known) - min(known) <= FEW_NUMBERS:
        # Each number has a slot of width 1, the first and the last, too.
        return Axis(min(known) - 0.6, max(known) + 0.6, box.left, box.right, whole=True)
    return spanning(known, box.left, box.right, log=span.log, whole=span.whole)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def _choices(span: ParameterRange, rows: Sequence[TrialRow], key: str) -> list[str]:
    """The choices as text, in the order of the recipe; values that are not among them come last."""
    if not span.choices:
        return []
    tried = [value_text(row.setting[key]) for row in rows if key in row.setting]
    return list(dict.fromkeys([*map(value_text, span.choices), *tried]))


def _is_turned(names: Sequence[str]) -> bool:
    """Whether choices are written aslant, because they have no room side by side."""
    room = PANEL_WIDTH / max(len(names), 1) - 6
    return any(text_width(shortened(name, LONGEST_CHOICE), TICK_SIZE) > room for name in names)


def _drop(names: Sequence[str]) -> float:
    """Pixels from a plot down to its key, below its choices."""
    if not _is_turned(names):
        return DROP
    longest = max(text_width(shortened(name, LONGEST_CHOICE), TICK_SIZE) for name in names)
    return longest * math.sin(math.radians(TURN)) + 34


def _draw_choices(drawing: Drawing, box: Box, names: Sequence[str], slot: float) -> None:
    """Write the choices below their slots, every so many where there are many."""
    turned = _is_turned(names)
    stride = math.ceil(len(names) / MOST_CHOICES) if turned else 1
    for place in range(0, len(names), stride):
        x, name = box.left + (place + 0.5) * slot, names[place]
        if turned:
            cut = shortened(name, LONGEST_CHOICE)
            drawing.text((x + 4, box.bottom + 14), cut, size=TICK_SIZE, anchor="end", turn=-TURN, hint=name)
        else:
            cut = fitted(name, slot - 6, TICK_SIZE)
            drawing.text((x, box.bottom + 16), cut, size=TICK_SIZE, anchor="middle", hint=name)


def _side_by_side(
    middles: Mapping[int, float], levels: Mapping[int, float], slot: float, radius: float
) -> dict[int, float]:
    """Return where each trial lies across: in its slot's middle, or beside it where others have about its score."""
    crowds: dict[tuple[float, int], list[int]] = defaultdict(list)
    for number, middle in middles.items():
        crowds[middle, int(levels[number] // (2 * radius))].append(number)
    places = {}
    for (middle, _), numbers in crowds.items():
        step = min(2 * radius + 0.5, max(0.8 * slot - 2 * radius, 0.0) / max(len(numbers) - 1, 1))
        for place, number in enumerate(numbers):
            places[number] = middle + (place - (len(numbers) - 1) / 2) * step
    return places
