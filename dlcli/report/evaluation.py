"""Figures of a run on one split."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table

from dlcli.report.figures import count_of, number
from dlcli.report.layout import line

if TYPE_CHECKING:
    from dlcli.experiment.evaluate import Evaluation


def evaluation_view(evaluation: "Evaluation") -> RenderableType:
    """Return what was evaluated, and one row a metric."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", overflow="fold")
    table.add_column(justify="right")
    for name, value in evaluation.metrics.items():
        table.add_row(name, number(value))
    rows = count_of(evaluation.rows, "row")
    data = line("data", str(evaluation.data))
    head = [line("run", str(evaluation.run)), data, line("split", f"{evaluation.split}, {rows}")]
    if evaluation.note:
        head.append(line("note", evaluation.note, style="yellow"))
    return Group(*head, "", table)
