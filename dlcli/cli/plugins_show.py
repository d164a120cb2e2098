"""`dlcli plugins show`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlcli.cli import completion
from dlcli.cli.options import Json
from dlcli.cli.output import print_json
from dlcli.cli.output import show as show_on_stdout
from dlcli.errors import UsageError

if TYPE_CHECKING:
    from dlcli.plugins import Plugins


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
    plot: Annotated[bool, typer.Option("--plot", help="Draw an activation and its derivative instead.")] = False,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Write that drawing into a file, as SVG.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Draw it with a parameter other than its default."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a component's page: what it does, its parameters, and how a recipe names it; or plot an activation."""
    from dlcli.experiment.components import show_component
    from dlcli.plugins import load_plugins
    from dlcli.report.components import page_view

    plugins = load_plugins()
    if plot or svg is not None:
        _plot(plugins, name, kind, settings or [], svg, plot=plot, as_json=as_json)
        return
    if settings:
        raise UsageError(f"--set {settings[0]} changes what is drawn: add --plot or --svg FILE")
    page = show_component(plugins, name, kind)
    print_json(page.as_json()) if as_json else show_on_stdout(page_view(page))


def _plot(
    plugins: "Plugins", name: str, kind: str | None, settings: list[str], svg: Path | None, *, plot: bool, as_json: bool
) -> None:
    from dlcli import atomic
    from dlcli.experiment.activation_curve import activation_curve
    from dlcli.experiment.output_file import check_picture_output
    from dlcli.report.activation_plot import activation_view
    from dlcli.report.activation_svg import activation_svg
    from dlcli.report.layout import line

    if svg is not None:
        check_picture_output(svg, "--svg")
    curve = activation_curve(plugins, name, kind, settings)
    if svg is not None:
        atomic.write_text(svg, activation_svg(curve))
    if as_json:
        print_json(curve.as_json())
    elif plot:
        show_on_stdout(activation_view(curve))
    if svg is not None and not as_json:
        show_on_stdout(line("drawn", str(svg)))
