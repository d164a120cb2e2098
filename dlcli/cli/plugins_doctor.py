"""`dlcli plugins doctor`."""

import typer

from dlcli.cli.options import Json, Quiet
from dlcli.cli.output import print_json, show
from dlcli.errors import PluginError


def doctor(quiet: Quiet = False, as_json: Json = False) -> None:
    """Examine every installed plugin in a process of its own.

    Shows its load time and what it registers; where it is broken, why.
    Leaves with exit code 4 where a plugin needs mending.
    """
    from dlcli.experiment.doctor import doctor as examine
    from dlcli.plugins import load_plugins
    from dlcli.report.doctor import health_view

    health = examine(load_plugins())
    if as_json:
        print_json({"plugins": [plugin.as_json() for plugin in health]})
    elif not quiet:
        show(health_view(health))
    if not all(plugin.healthy for plugin in health):
        raise typer.Exit(PluginError.exit_code)
