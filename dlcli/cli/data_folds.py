"""`dlcli data folds`."""

from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli.options import DataFile, Json, Quiet
from dlcli.cli.output import print_json, show


def folds(
    file: DataFile,
    kfold: Annotated[int, typer.Option("--kfold", metavar="K", help="How many folds.")] = 5,
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="kfold|stratified|grouped|leave_one_group_out|time_ordered",
            help="How rows are divided.",
            show_default="grouped where there are groups, else stratified, else kfold",
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(metavar="N", help="How often they are divided anew.")] = 1,
    gap: Annotated[
        int, typer.Option(metavar="ROWS", help="Rows between training and held-out rows in the order of time.")
    ] = 0,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides the rows; a run takes its recipe's.")] = 0,
    task: Annotated[str | None, typer.Option(metavar="TASK", help="The task, where the target does not say.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Keep them as JSON, for data.folds.file.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file of folds that is there already.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make the folds of a dataset, to look at and to keep.

    The same rows, seed and kind give the same folds, and the same sha256, in every run and on every machine.
    """
    from dlcli.experiment.data_folds import data_folds
    from dlcli.report.folds import folds_view

    made = data_folds(
        file,
        output,
        kfold=kfold,
        kind=kind,
        repeats=repeats,
        gap=gap,
        seed=seed,
        task=task,
        overwrite=overwrite,
    )
    if as_json:
        print_json(made.as_json())
    elif not quiet:
        show(folds_view(made))
