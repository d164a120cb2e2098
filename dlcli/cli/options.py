"""Arguments and options that several commands share, so that they are spelt and explained alike."""

from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli import completion

Recipe = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="Recipe, a TOML file.", autocompletion=completion.recipes)
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Set a key of the recipe, such as train.epochs=30; may be repeated."
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="auto|cpu|cuda|mps",
        help="Where to compute; without it, the recipe says.",
        autocompletion=completion.devices,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Runs = Annotated[Path, typer.Option("--runs", metavar="FOLDER", help="Folder of run directories.")]
DataFile = Annotated[Path, typer.Argument(metavar="FILE", help="HDF5 file.")]
