"""`dlcli plugins new`."""

from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli.options import Quiet
from dlcli.cli.output import show


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the package: dlcli-TOPIC, or the topic alone.")],
    folder: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the package's folder is made.")] = Path(),
    quiet: Quiet = False,
) -> None:
    """Write a plugin package with one component, whose tests pass as written."""
    from dlcli.experiment.skeleton import write_plugin
    from dlcli.report.components import package_view

    written = write_plugin(name, folder)
    if not quiet:
        show(package_view(written))
