"""A picture of an ensemble: its score against its number of members, beside the scores of single members."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dlcli.report.axis import spanning
from dlcli.report.ensemble_members import best_first
from dlcli.report.ensemble_outcome import EnsembleMember, EnsembleOutcome
from dlcli.report.figures import count_of, number
from dlcli.report.panel import Box, draw_frame, draw_label, draw_message, draw_x_axis, draw_y_axis
from dlcli.report.svg import Drawing
from dlcli.report.tune_marks import drawable

WIDTH, LEFT, RIGHT = 900, 84, 880
TOP, PANEL_HEIGHT, GAP = 102, 300, 92
ENSEMBLE = "#d55e00"
SINGLE = "#0072b2"
MEAN = "#666666"
DASH = "5 4"
MARKED_POINTS = 60
"""Up to so many members each point of the curve has a mark."""


@dataclass(frozen=True)
class _Panel:
    """What one plot shows.

    Args:
        title: On which rows, and which way is better.
        value: Name of the value.
        curve: Numbers of members, rising, with the ensemble's value.
        single: Place of a member in the ensemble, its name and its value.
        best: Value of the best member; None where not known.
    """

    title: str
    value: str
    curve: Sequence[tuple[int, float]]
    single: Sequence[tuple[int, str, float]]
    best: float | None

    @property
    def mean(self) -> float | None:
        """The mean of single members; None where there are fewer than two."""
        return statistics.fmean(value for *_, value in self.single) if len(self.single) > 1 else None


def ensemble_svg(outcome: EnsembleOutcome) -> str:
    """Return the score against the number of members, one plot for the rows that decide and one for those compared on.

    A dot is a single member, at its place in the ensemble; members that are no part of it are not drawn. The axis of
    scores is logarithmic where all are positive and span more than a decade.

    Args:
        outcome: The ensemble.

    Returns:
        An SVG document.
    """
    panels = _panels(outcome)
    title = f"{outcome.name}: {outcome.strategy}, {count_of(len(outcome.members), 'member')}"
    drawing = Drawing(WIDTH, TOP + len(panels) * (PANEL_HEIGHT + GAP) - GAP + 56, title)
    drawing.text((LEFT, 28), title, size=16, bold=True, most=RIGHT - LEFT)
    _draw_legend(drawing, panels)
    counts = [point[0] for panel in panels for point in panel.curve]
    counts += [dot[0] for panel in panels for dot in panel.single]
    for index, panel in enumerate(panels):
        top = TOP + index * (PANEL_HEIGHT + GAP)
        _draw_panel(drawing, Box(LEFT, top, RIGHT, top + PANEL_HEIGHT), panel, counts or [1])
    return drawing.render()


def _panels(outcome: EnsembleOutcome) -> list[_Panel]:
    deciding, compared = _deciding(outcome), _compared(outcome)
    split = outcome.comparison.split if outcome.comparison else ""
    # Without test rows, the loss of the comparison is what decided.
    twice = deciding.curve and split == "val" and outcome.monitor == "val_loss"
    panels = [deciding] if twice else [deciding, compared]
    return [panel for panel in panels if panel.curve or panel.single] or [deciding]


def _deciding(outcome: EnsembleOutcome) -> _Panel:
    better = "smaller" if outcome.direction == "min" else "larger"
    curve = [(point.members, point.val) for point in outcome.curve]
    if outcome.val is None and outcome.unseen_kind is not None:
        # Scores of single members are on other rows than this curve, so they have no place beside it.
        return _panel(f"{outcome.unseen_kind} rows, {better} is better", outcome.monitor, curve, [], None)
    best = next((member.score for member in best_first(outcome) if member.used), None)
    return _panel(
        f"validation rows, {better} is better",
        outcome.monitor,
        curve,
        [(member.identity, member.score) for member in _used(outcome)],
        best,
    )


def _compared(outcome: EnsembleOutcome) -> _Panel:
    comparison = outcome.comparison
    rows = f"{comparison.rows:,} {'test' if comparison.split == 'test' else 'validation'} rows" if comparison else ""
    return _panel(
        f"{rows}, smaller is better",
        "loss",
        [(point.members, point.compared) for point in outcome.curve],
        [(member.identity, member.figures.get("loss")) for member in _used(outcome)],
        comparison.best.get("loss") if comparison else None,
    )


def _used(outcome: EnsembleOutcome) -> list[EnsembleMember]:
    return [member for member in outcome.members if member.used and member.failure is None]


def _panel(
    title: str,
    value: str,
    curve: Sequence[tuple[int, float | None]],
    single: Sequence[tuple[str, float | None]],
    best: float | None,
) -> _Panel:
    """A plot of what has a place on an axis."""
    points = [(count, score) for count, score in curve if score is not None and drawable(score)]
    dots = [
        (place, name, score) for place, (name, score) in enumerate(single, 1) if score is not None and drawable(score)
    ]
    return _Panel(title, value, sorted(points), dots, best if drawable(best) else None)


def _draw_panel(drawing: Drawing, box: Box, panel: _Panel, counts: Sequence[int]) -> None:
    across = spanning(counts, box.left, box.right, log=False, whole=True)
    # There is no ensemble of 0 members, so nothing is written below 1.
    low = max(across.low, 0.5)
    written = replace(across, low=low, start=across.place(low))
    values = [point[1] for point in panel.curve] + [dot[2] for dot in panel.single]
    values += [value for value in (panel.best, panel.mean) if value is not None]
    up = spanning(values, box.bottom, box.top) if values else None
    drawing.text((box.left, box.top - 10), _heading(panel), bold=True, most=box.width)
    draw_y_axis(drawing, box, up, panel.value)
    draw_x_axis(drawing, box, written if values else None, "members")
    if up is None:
        draw_message(drawing, box, "no scores")
        draw_frame(drawing, box)
        return
    for value, colour in ((panel.mean, MEAN), (panel.best, SINGLE)):
        if value is not None:
            drawing.line((box.left, up.place(value)), (box.right, up.place(value)), colour, width=1.5, dash=DASH)
    for place, name, value in panel.single:
        center = across.place(place), up.place(value)
        drawing.circle(center, 3.5, fill=SINGLE, opacity=0.6, hint=f"{name}, {number(value)}")
    path = [(across.place(count), up.place(value)) for count, value in panel.curve]
    if len(path) > 1:
        drawing.polyline(path, ENSEMBLE, width=2)
    if len(path) <= MARKED_POINTS:
        for center, (count, value) in zip(path, panel.curve, strict=True):
            drawing.circle(center, 4, fill=ENSEMBLE, stroke="#ffffff", hint=f"ensemble of {count}, {number(value)}")
    draw_frame(drawing, box)


def _heading(panel: _Panel) -> str:
    """What is drawn, with the figures that the lines end at."""
    last = panel.curve[-1][1] if panel.curve else None
    values = (("ensemble", last), ("best member", panel.best), ("mean", panel.mean))
    figures = ", ".join(f"{name} {number(value)}" for name, value in values if value is not None)
    return f"{panel.title}: {figures}" if figures else panel.title


def _draw_legend(drawing: Drawing, panels: Sequence[_Panel]) -> None:
    x, y = LEFT + 4.0, 53.0
    if any(panel.curve for panel in panels):
        drawing.line((x - 4, y), (x + 16, y), ENSEMBLE, width=2)
        drawing.circle((x + 6, y), 4, fill=ENSEMBLE, stroke="#ffffff")
        x = draw_label(drawing, x + 22, y, "ensemble of the first members")
    if any(panel.single for panel in panels):
        drawing.circle((x, y), 4, fill=SINGLE, opacity=0.6)
        x = draw_label(drawing, x + 10, y, "one member")
    for label, colour, shown in (
        ("mean of members", MEAN, any(panel.mean is not None for panel in panels)),
        ("best member by validation", SINGLE, any(panel.best is not None for panel in panels)),
    ):
        if shown:
            drawing.line((x - 4, y), (x + 16, y), colour, width=1.5, dash=DASH)
            x = draw_label(drawing, x + 22, y, label)
