"""`dlcli ensemble`."""

from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli import completion
from dlcli.cli.options import Device, Engine, Json, Quiet, Runs, Set
from dlcli.cli.output import print_json, show, stderr_console, stdout_console, warn
from dlcli.errors import Interrupted


def ensemble(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECIPE|RUN...",
            help="A recipe, whose networks are trained, or runs that exist; none with --resume.",
            show_default="recipe.toml",
            autocompletion=completion.recipes_and_runs,
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="voting, bagging, stacking, greedy … or a plugin's: dlcli plugins list --kind ensemble.",
            autocompletion=completion.strategies,
        ),
    ] = None,
    members: Annotated[
        int | None, typer.Option(metavar="N", help="How many members; with --resume a finished one may grow.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(metavar="K", help="Take the K best trials of a search among the runs.")
    ] = None,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out runs that are missing or damaged.")
    ] = False,
    overrides: Set = None,
    engine: Engine = None,
    device: Device = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the run; without it, the recipe's name.")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Go on with an ensemble that was cut short, or enlarge it.",
            autocompletion=completion.run_names,
        ),
    ] = None,
    runs: Runs = Path("runs"),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train several networks and combine them, or combine runs; the result is a run like any other.

    A search stands for its final model, with --top for its best trials; RUN@fold-3 is a member of a run.
    At the end the ensemble is compared with its members on the same rows.
    Ctrl-C saves the state and says how to go on.
    """
    from dlcli.experiment.ensemble import ensemble as make_ensemble
    from dlcli.report.ensemble_display import choose_ensemble_display
    from dlcli.report.ensemble_summary import ensemble_summary_view

    outcome = make_ensemble(
        *(sources or ([] if resume else ["recipe.toml"])),
        strategy=strategy,
        members=members,
        top=top,
        skip_missing=skip_missing,
        resume=resume,
        overrides=overrides or (),
        engine=engine,
        device=device,
        name=name,
        runs=runs,
        display=choose_ensemble_display(stderr_console() if as_json else stdout_console(), quiet=quiet),
    )
    if as_json:
        print_json(outcome.as_json())
    elif not quiet:
        show(ensemble_summary_view(outcome))
    if outcome.status == "interrupted":
        if quiet and not as_json:
            warn(f"interrupted; its state is saved: dlcli ensemble --resume {outcome.run}")
        raise typer.Exit(Interrupted.exit_code)
