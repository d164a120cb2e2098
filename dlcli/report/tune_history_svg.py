"""A picture of a search: every trial's score, and the best so far."""

from itertools import pairwise

from dlcli.report.axis import Axis, spanning
from dlcli.report.figures import count_of
from dlcli.report.panel import Box, draw_frame, draw_message, draw_x_axis, draw_y_axis
from dlcli.report.svg import INK, Drawing
from dlcli.report.tune_marks import (
    BEST,
    DASH,
    UNTUNED,
    draw_best,
    draw_legend,
    draw_mark,
    drawable,
    height,
    radius_for,
    score_axis,
)
from dlcli.report.tune_view import TrialRow, TuneView, running_best

WIDTH, HEIGHT = 900, 500
BOX = Box(84, 76, 880, 444)


def history_svg(view: TuneView) -> str:
    """Return the score against the trial's number: finished, pruned and failed trials, and the best so far as a line.

    The score's axis is logarithmic where all scores are positive and span more than a decade. Trials without a score
    lie on the border of bad scores.

    Args:
        view: The search.

    Returns:
        An SVG document.
    """
    rows = sorted((row for row in view.trials if row.state != "running"), key=lambda row: row.number)
    better = "smaller" if view.direction == "min" else "larger"
    title = f"{view.name}: {view.monitor} of {count_of(len(rows), 'trial')} ({better} is better)"
    drawing = Drawing(WIDTH, HEIGHT, title)
    drawing.text((BOX.left, 28), title, size=16, bold=True, most=BOX.width)
    across = spanning([row.number for row in rows] or [0, 1], BOX.left, BOX.right, log=False, whole=True)
    up = score_axis(view, rows, BOX)
    draw_y_axis(drawing, BOX, up, view.monitor)
    draw_x_axis(drawing, BOX, across if rows else None, "trial")
    _draw_stages(drawing, rows, across)
    if up is not None and view.untuned is not None and drawable(view.untuned):
        y = up.place(view.untuned)
        drawing.line((BOX.left, y), (BOX.right, y), UNTUNED, dash=DASH)
    radius = radius_for(len(rows))
    for row in rows:
        draw_mark(drawing, row, (across.place(row.number), height(view, row, up, BOX)), radius)
    if up is not None:
        _draw_running_best(drawing, view, rows, across, up)
    draw_frame(drawing, BOX)
    if not any(row.state == "finished" for row in rows):
        draw_message(drawing, BOX, "no finished trial")
    draw_legend(drawing, (BOX.left + 4, 53), view, rows)
    return drawing.render()


def _draw_running_best(drawing: Drawing, view: TuneView, rows: list[TrialRow], across: Axis, up: Axis) -> None:
    """One line of steps a stage, up to the stage's last trial; and the best of all."""
    steps = [step for step in running_best(rows, view.direction) if drawable(step[1])]
    for stage in sorted({row.stage for row, _ in steps}):
        own = [(across.place(row.number), up.place(best)) for row, best in steps if row.stage == stage]
        path = own[:1]
        for (_, before), (x, y) in pairwise(own):
            path += [(x, before), (x, y)] if y != before else []
        last = max(row.number for row in rows if row.stage == stage)
        path.append((across.place(last), own[-1][1]))
        drawing.polyline(path, BEST, width=2)
    if (best := view.best) is not None and drawable(best.score):
        draw_best(drawing, best, (across.place(best.number), height(view, best, up, BOX)))


def _draw_stages(drawing: Drawing, rows: list[TrialRow], across: Axis) -> None:
    for before, row in pairwise(rows):
        if row.stage != before.stage:
            x = across.place((before.number + row.number) / 2)
            drawing.line((x, BOX.top), (x, BOX.bottom), INK, dash="2 3")
            drawing.text((x + 5, BOX.bottom - 8), f"stage {row.stage}", size=11)
