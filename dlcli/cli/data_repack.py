"""`dlcli data repack`."""

from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli.options import DataFile, Json, Overwrite, Quiet
from dlcli.cli.output import print_json, show, stderr_console, stdout_console


def repack(
    file: DataFile,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The new file.")],
    codec: Annotated[
        str | None,
        typer.Option(
            metavar="gzip|lzf|none",
            help="How chunks are compressed.",
            show_default="gzip where the source is compressed and that pays",
        ),
    ] = None,
    chunk_mb: Annotated[float, typer.Option(metavar="MB", help="About how large a chunk of rows is.")] = 1.0,
    dtype: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=TYPE",
            help="Another type that holds all values, such as x=uint8; y=classes for texts. May be repeated.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a dataset again in chunks that are quick to train on, every value the same."""
    from dlcli.experiment.repack import repack as repack_file
    from dlcli.report.prediction_progress import PredictionProgress
    from dlcli.report.repack import repacked_view

    with PredictionProgress(stderr_console() if as_json else stdout_console(), quiet=quiet) as progress:
        repacked = repack_file(
            file,
            output,
            codec=codec,
            chunk_mb=chunk_mb,
            dtypes=dtype or (),
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        print_json(repacked.as_json())
    elif not quiet:
        show(repacked_view(repacked))
