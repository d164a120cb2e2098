"""How a trial looks in a picture: finished filled, pruned hollow, failed a cross on the border."""

import math
from collections.abc import Iterable, Sequence

from dlcli.report.axis import LARGEST, Axis, spanning
from dlcli.report.figures import number
from dlcli.report.panel import Box, draw_label
from dlcli.report.svg import Drawing
from dlcli.report.tune_text import score_text
from dlcli.report.tune_view import TrialRow, TuneView

FINISHED = "#0072b2"
PRUNED = "#8a8a8a"
FAILED = "#c1272d"
BEST = "#d55e00"
UNTUNED = "#666666"
DASH = "5 4"
INSET = 8.0
"""Pixels between the border and the marks on it."""
CROWDED = 200
"""From this many trials on, marks are smaller and let others show through."""


def drawable(score: float | None) -> bool:
    """Return whether a score has a place on an axis."""
    return score is not None and math.isfinite(score) and abs(score) <= LARGEST


def score_axis(view: TuneView, rows: Iterable[TrialRow], box: Box) -> Axis | None:
    """Return the vertical axis for the scores of trials and of the untuned recipe; None where there are none."""
    scores = [row.score for row in rows if row.state in ("finished", "pruned")]
    values = [score for score in (*scores, view.untuned) if score is not None and drawable(score)]
    return spanning(values, box.bottom, box.top) if values else None


def height(view: TuneView, row: TrialRow, axis: Axis | None, box: Box) -> float:
    """Return the pixel of a trial's score; on the border of bad scores where it has none."""
    if axis is not None and row.state != "failed" and row.score is not None and drawable(row.score):
        return axis.place(row.score)
    return box.top + INSET if view.direction == "min" else box.bottom - INSET


def radius_for(rows: int) -> float:
    """Return how large a mark is."""
    return 3.5 if rows < CROWDED else 2.2


def draw_mark(
    drawing: Drawing, row: TrialRow, place: tuple[float, float], radius: float, *, hinted: bool = True
) -> None:
    """Draw a trial that has ended; one that runs is not drawn. Without hints, many marks make a smaller file."""
    hint = hint_of(row) if hinted else ""
    opacity = 0.75 if radius >= 3 else 0.5
    if row.state == "finished" and drawable(row.score):
        drawing.circle(place, radius, fill=FINISHED, opacity=opacity, hint=hint)
    elif row.state == "pruned":
        drawing.circle(place, radius, stroke=PRUNED, hint=hint)
    elif row.state != "running":
        drawing.cross(place, radius, FAILED, hint=hint)


def draw_best(drawing: Drawing, row: TrialRow, place: tuple[float, float]) -> None:
    """Draw the best trial, over all others."""
    drawing.circle(place, 5.5, fill=BEST, stroke="#ffffff", hint=f"best: {hint_of(row)}")


def hint_of(row: TrialRow) -> str:
    """Return what a pointer on a trial tells."""
    words = [f"trial {row.number}"]
    if row.state != "finished":
        words.append(f"{row.state}: {row.reason}" if row.reason else row.state)
    if row.score is not None:
        words.append(score_text(row.score, row.spread))
    return ", ".join(words)


def draw_legend(
    drawing: Drawing, place: tuple[float, float], view: TuneView, rows: Sequence[TrialRow], *, lines: bool = True
) -> None:
    """Draw what the marks mean, with how many there are of each, in a row.

    Args:
        drawing: Where to draw.
        place: The middle of the first mark.
        view: The search.
        rows: The trials that are drawn.
        lines: Whether the lines of the best so far and of the untuned recipe are drawn, too.
    """
    x, y = place
    for state in ("finished", "pruned", "failed"):
        count = sum(row.state == state for row in rows)
        if not count:
            continue
        label = f"{count:,} {state}"
        if state == "finished":
            drawing.circle((x, y), 4, fill=FINISHED, hint=label)
        elif state == "pruned":
            drawing.circle((x, y), 4, stroke=PRUNED, hint=label)
        else:
            drawing.cross((x, y), 4, FAILED, hint=label)
        x = draw_label(drawing, x + 10, y, label)
    if (best := view.best) is not None:
        if lines:
            drawing.line((x - 4, y), (x + 16, y), BEST, width=2)
        drawing.circle((x + 6, y), 4.5, fill=BEST, stroke="#ffffff", hint="best")
        what = "best so far" if lines else "best"
        x = draw_label(drawing, x + 22, y, f"{what}: {number(best.score)}, trial {best.number}")
    if lines and view.untuned is not None and drawable(view.untuned):
        drawing.line((x - 4, y), (x + 16, y), UNTUNED, dash=DASH)
        draw_label(drawing, x + 22, y, f"untuned: {number(view.untuned)}")
