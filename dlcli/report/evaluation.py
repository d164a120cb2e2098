"""Figures of a run on one split."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table

from dlcli.report.figures import count_of, number
from dlcli.report.layout import line

if TYPE_CHECKING:
    from dlcli.experiment.evaluate import Evaluation


SPREAD = {
    "std": ("standard deviation", "of members' answers, mean over rows"),
    "entropy": ("entropy", "of their mean answer, in nats: all uncertainty"),
    "mutual_information": ("mutual information", "in nats: the part that comes from their disagreement"),
}
"""How the figures of `dlcli.experiment.spread` are called, and what they are."""


def evaluation_view(evaluation: "Evaluation") -> RenderableType:
    """Return what was evaluated, one row a metric, and of several members how far they differ."""
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
    return Group(*head, "", table, *_spread(evaluation.spread or {}))


def _spread(spread: Mapping[str, float]) -> list[RenderableType]:
    if not spread:
        return []
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold")
    table.add_column(justify="right")
    table.add_column(style="dim", overflow="fold")
    for name, value in spread.items():
        label, meaning = SPREAD[name]
        table.add_row(label, number(value), meaning)
    return ["", "spread of its members", table]
