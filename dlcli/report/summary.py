"""The closing summary of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table

from dlcli.report.figures import count_of, duration, number
from dlcli.report.layout import line, plain_table
from dlcli.report.population import population_view

if TYPE_CHECKING:
    from dlcli.experiment.summary import Summary

STYLES = {"finished": "green", "interrupted": "yellow", "failed": "red"}


def summary_view(summary: "Summary") -> RenderableType:
    """Return where the run is, its best epoch, its figures on every split or of every member, and what to type next.

    Notes are left out: the display has shown each when it came up.
    """
    several = summary.population
    members = f"{count_of(len(several.members), 'network')}, " if several else ""
    most = " at most" if several else ""
    trained = f"{members}{count_of(summary.epochs, 'epoch')}{most} in {duration(summary.seconds)}"
    parts: list[RenderableType] = [
        line("run", str(summary.run), "  ", (summary.status, STYLES.get(summary.status, ""))),
        line("trained", trained),
    ]
    if summary.stopped:
        parts.append(line("stopped", summary.stopped))
    if summary.best_epoch:
        parts.append(line("best", f"epoch {summary.best_epoch}, {summary.monitor} {number(summary.best_score)}"))
    if summary.selected_epoch not in (0, summary.best_epoch):
        parts.append(line("model", f"of epoch {summary.selected_epoch}, the last"))
    if several:
        parts.append(population_view(summary))
    elif figures := splits_table({"train": summary.train, "val": summary.val, "test": summary.test}):
        parts += ["", figures]
    return Group(*parts, "", *(line(label, command) for label, command in next_commands(summary)))


def splits_table(figures: Mapping[str, Mapping[str, float] | None]) -> Table | None:
    """Return one row a split and one column a metric; None where there are no figures at all."""
    known = {split: values for split, values in figures.items() if values}
    if not known:
        return None
    names = list(dict.fromkeys(name for values in known.values() for name in values))
    table = plain_table()
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    for split, values in known.items():
        cells = [number(values[name]) if name in values else "" for name in names]
        table.add_row(split, *cells, style="bold" if split == "test" else None)
    return table


def next_commands(summary: "Summary") -> list[tuple[str, str]]:
    """Return the commands that make sense after the run, each after its label."""
    if summary.status != "finished":
        return [("go on", f"dlcli train --resume {summary.run}")]
    root = summary.run.parent.parent
    where = "" if root == Path("runs") else f" --runs {root}"
    first = []
    if summary.population and summary.population.kind == "kfold":
        first = [("files", f"{summary.run}/oof.h5, folds.json; a fold's model is {summary.run}@fold-0")]
    return [
        *first,
        ("next", f"dlcli evaluate {summary.run} --data FILE.h5"),
        ("compare", f"dlcli runs {summary.run.parent.name} --sort best{where}"),
    ]
