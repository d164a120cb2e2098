"""`dlcli plugins list`."""

from typing import Annotated

import typer

from dlcli.cli import completion
from dlcli.cli.options import Json
from dlcli.cli.output import print_json, show
from dlcli.contracts.kinds import KINDS


def list_(
    kind: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Only components of this kind.", autocompletion=completion.component_kinds),
    ] = None,
    as_json: Json = False,
) -> None:
    """List every component: kind, name, provider and its version, one line."""
    from dlcli.experiment.components import list_components
    from dlcli.plugins import load_plugins
    from dlcli.report.components import list_view

    if kind not in (None, *KINDS):
        raise typer.BadParameter(f"{kind!r} is no kind; kinds are {', '.join(KINDS)}", param_hint="--kind")
    rows = [row for row in list_components(load_plugins()) if kind in (None, row.kind)]
    if as_json:
        print_json({"components": [row.as_json() for row in rows]})
    else:
        show(list_view(rows))
