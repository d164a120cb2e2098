"""`dlcli init`."""

from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli.options import Quiet
from dlcli.cli.output import show


def init(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="HDF5 file to train on.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the recipe.")] = Path(
        "recipe.toml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a recipe that is there already.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write a complete starter recipe for a dataset, from what is in it."""
    from dlcli.experiment.starter import write_starter

    write_starter(data, output, force=force)
    if not quiet:
        show(f"Wrote {output}. Next: dlcli train {output}")
