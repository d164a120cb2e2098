"""`dlcli data import`."""

from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli.options import Json, Overwrite, Quiet
from dlcli.cli.output import print_json, show, stderr_console, stdout_console


def import_(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="File or folder; it is only read.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The dataset to write, .h5.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="csv, npz, npy, idx, images, sequences, text, graph, or a plugin's: dlcli plugins list "
            "--kind importer.",
            show_default="by the source's suffix, or what it holds",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a parameter of the format; may be repeated."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="NAME|NUMBER", help="What to predict: a column, an array, a file of labels.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="NAME|NUMBER", help="What tells rows that belong together; splits keep them so."),
    ] = None,
    when: Annotated[
        str | None,
        typer.Option("--time", metavar="NAME|NUMBER", help="Column of times; the last rows become val, test."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="SHARE|none", help="Share of the rows for val.", show_default="the source's own, or 0.2"),
    ] = None,
    test: Annotated[float | None, typer.Option(metavar="SHARE", help="Share of the rows for test.")] = None,
    stratify: Annotated[
        bool | None,
        typer.Option("--stratify/--no-stratify", help="Divide by class.", show_default="where there are classes"),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides which rows go into which split.")] = 0,
    licence: Annotated[str | None, typer.Option(metavar="TEXT", help="The data's licence, kept in the file.")] = None,
    overwrite: Overwrite = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look, and say what would be written.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Turn CSV, NPZ, IDX, images, sequences or text into a dataset, divided into train, val and test."""
    from dlcli.experiment.import_data import import_data
    from dlcli.experiment.importing.importer_choice import parameters_of
    from dlcli.report.imported import ImportProgress, imported_view

    console = stderr_console() if as_json else stdout_console()
    with ImportProgress(console, quiet=quiet) as progress:
        imported = import_data(
            source,
            output,
            format=format,
            parameters=parameters_of(settings or (), target=target, group=group, time=when),
            split=split,
            test=test,
            stratify=stratify,
            seed=seed,
            licence=licence,
            overwrite=overwrite,
            dry_run=dry_run,
            progress=progress,
        )
    if as_json:
        print_json(imported.as_json())
    elif not quiet:
        show(imported_view(imported))
