"""`dlcli runs`."""

from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli import completion
from dlcli.cli.options import Json, Runs
from dlcli.cli.output import print_json, show


def runs(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Only runs whose name begins so.",
            show_default="all",
            autocompletion=completion.run_names,
        ),
    ] = "",
    sort: Annotated[
        str,
        typer.Option(
            metavar="best|name|when|time|epochs|status",
            help="Order: best score, and latest, longest, most first.",
            autocompletion=completion.sort_keys,
        ),
    ] = "when",
    reverse: Annotated[bool, typer.Option("--reverse", help="Turn the order round.")] = False,
    status: Annotated[
        str | None,
        typer.Option(
            metavar="finished|interrupted|failed|running|killed|damaged",
            help="Only runs of this status.",
            autocompletion=completion.statuses,
        ),
    ] = None,
    root: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """List runs: status, best score, epochs, time, when."""
    from dlcli.experiment.runs import list_runs
    from dlcli.report.runs import runs_view

    rows = list_runs(root, name=name, status=status, sort=sort, reverse=reverse)
    if as_json:
        print_json({"runs": [row.as_json() for row in rows]})
    else:
        show(runs_view(rows, root))
