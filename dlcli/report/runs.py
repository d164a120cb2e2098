"""The list of runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from dlcli.report.figures import duration, moment
from dlcli.report.layout import line, plain_table
from dlcli.report.population import with_spread

if TYPE_CHECKING:
    from dlcli.experiment.runs import RunRow

STYLES = {"finished": "green", "running": "cyan", "interrupted": "yellow", "failed": "red", "killed": "red"}


def runs_view(rows: Sequence["RunRow"], root: Path) -> RenderableType:
    """Return one row a run, and below the table what is wrong with those that went wrong.

    Args:
        rows: The runs, in the order in which they are shown.
        root: Where they were looked for.

    Returns:
        A table; a sentence where there are no runs.
    """
    if not rows:
        return Text(f"no such runs under {root}/; `dlcli train` makes one", overflow="fold")
    table = plain_table()
    table.add_column("run", overflow="fold")
    table.add_column("status")
    table.add_column("best", overflow="fold")
    table.add_column("best epoch", justify="right")
    table.add_column("time", justify="right")
    table.add_column("when")
    for row in rows:
        best = "–" if row.best_score is None else f"{row.monitor} {with_spread(row.best_score, row.score_spread)}"
        if row.members:
            best += f" ({row.members})"
        epochs = (
            "–" if row.epochs is None else f"{row.best_epoch} of {row.epochs}" if row.best_epoch else str(row.epochs)
        )
        status = Text(row.status, style=STYLES.get(row.status, "magenta"))
        name = f"{row.name}/{row.run.name}"
        table.add_row(name, status, best, epochs, duration(row.seconds), moment(row.started))
    problems = [line(f"{row.name}/{row.run.name}", f"  {row.problem}") for row in rows if row.problem]
    return Group(table, *([Text(""), *problems] if problems else []))
