"""Two runs on the same rows, side by side, and what their difference means."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from dlcli.report.evaluation import interval_note
from dlcli.report.figures import count_of, number
from dlcli.report.layout import folded, line, plain_table

if TYPE_CHECKING:
    from dlcli.experiment.evaluation.compare import RunComparison

METHODS = {"exact": "all signs", "random signs": "10,000 random signs", "normal": "normal distribution"}


def comparison_view(comparison: "RunComparison") -> RenderableType:
    """Return figures of both runs, their differences, the tests and the verdict."""
    head = [
        line("first", str(comparison.first)),
        line("second", str(comparison.second)),
        line("data", str(comparison.data)),
        line("split", f"{comparison.split}, {count_of(comparison.rows, 'row')}"),
    ]
    head += [line("note", note, style="yellow") for note in comparison.notes]
    table = plain_table()
    table.add_column("", style="bold")
    for name in ("first", "second", "second − first"):
        table.add_column(name, justify="right")
    bootstrap = comparison.bootstrap
    if bootstrap is not None:
        table.add_column(f"{bootstrap.level:g} % interval", no_wrap=True)
    table.add_column("better")
    first, second = comparison.metrics
    for name, difference in comparison.differences.items():
        cells = [name, number(first[name]), number(second[name]), _signed(difference)]
        if bootstrap is not None:
            interval = comparison.intervals.get(name)
            cells.append("–" if interval is None else f"{_signed(interval.low)} to {_signed(interval.high)}")
        sign = difference if comparison.directions[name] == "min" else -difference
        table.add_row(*cells, "second" if sign < 0 else "first" if sign > 0 else "")
    tests = plain_table()
    for _ in range(3):
        tests.add_column()
    if comparison.loss_test is not None:
        test = comparison.loss_test
        tests.add_row("loss", f"p {p_text(test.p_value)}", f"paired test by flipping signs ({METHODS[test.method]})")
    if comparison.mcnemar is not None:
        found = comparison.mcnemar
        alone = f"right alone: first {found.first_alone:,}, second {found.second_alone:,}"
        tests.add_row("accuracy", f"p {p_text(found.p_value)}", f"McNemar's exact test; {alone}")
    tests.show_header = False
    parts: list[RenderableType] = [*head, "", table]
    if bootstrap is not None:
        parts.append(Text(interval_note(bootstrap), style="dim"))
    if tests.row_count:
        parts += ["", tests]
    parts += ["", folded("verdict", comparison.verdict)]
    parts += [folded("" if place else "but", limit) for place, limit in enumerate(comparison.limits)]
    return Group(*parts)


def p_text(p_value: float) -> str:
    """Return a p-value, such as `= 0.0123`, with no more digits than mean anything."""
    if p_value < 1e-4:
        return "below 0.0001"
    return f"= {p_value:.4f}" if p_value < 0.1 else f"= {p_value:.2f}"


def _signed(value: float) -> str:
    return f"+{number(value)}" if value > 0 else number(value).replace("-", "−", 1)
