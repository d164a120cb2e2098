"""What folds hold out."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from dlcli.report.layout import as_name, line, plain_table

if TYPE_CHECKING:
    from dlcli.experiment.data_folds import MadeFolds

SHOWN = 8
"""Classes with a column of their own, at most, and groups that are named."""


def folds_view(made: "MadeFolds") -> RenderableType:
    """Return one row a fold: how many rows it holds out and trains on, of which classes or groups."""
    table = plain_table()
    table.add_column("fold")
    for name in ("held out", "training", "rows"):
        table.add_column(name, justify="right")
    each_class = 0 < len(made.classes) <= SHOWN
    for name in made.classes if each_class else ():
        table.add_column(as_name(name), justify="right")
    if made.classes and not each_class:
        table.add_column("of a class", justify="right")
    grouped = any(fold.groups for fold in made.folds)
    if grouped:
        table.add_column("groups", overflow="fold")
    for fold in made.folds:
        cells = [f"fold-{fold.number}", f"{fold.held_out:,}", f"{fold.training:,}", f"{fold.first}…{fold.last}"]
        if each_class:
            cells += [str(count) for count in fold.classes]
        elif made.classes:
            cells.append(f"{min(fold.classes)} to {max(fold.classes)}")
        if grouped:
            named = ", ".join(map(str, fold.groups[:SHOWN])) + (", …" if len(fold.groups) > SHOWN else "")
            cells.append(f"{len(fold.groups)}: {named}")
        table.add_row(*cells)
    parts: list[RenderableType] = [
        line("folds", f"{made.made}, of {made.rows:,} training and validation rows"),
        line("sha256", made.sha256),
        "",
        table,
    ]
    if made.output is not None:
        parts += [
            "",
            line(
                "left",
                f"{made.output}: dlcli train RECIPE --kfold {len(made.folds)} --set data.folds.file={made.output}",
            ),
        ]
    return Group(*parts)
