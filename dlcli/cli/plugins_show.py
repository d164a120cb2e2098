"""`dlcli plugins show`."""

from typing import Annotated

import typer

from dlcli.cli import completion
from dlcli.cli.options import Json
from dlcli.cli.output import print_json
from dlcli.cli.output import show as show_on_stdout


def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Component, also as package:name.", autocompletion=completion.component_names
        ),
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND", help="Its kind, where several have the name.", autocompletion=completion.component_kinds
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a component's page: what it does, its parameters, and how a recipe names it."""
    from dlcli.experiment.components import show_component
    from dlcli.plugins import load_plugins
    from dlcli.report.components import page_view

    page = show_component(load_plugins(), name, kind)
    if as_json:
        print_json(page.as_json())
    else:
        show_on_stdout(page_view(page))
