"""`dlcli tune`."""

import re
from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli.options import Device, Engine, Folds, Json, Quiet, Recipe, Runs, Set, fold_number
from dlcli.cli.output import print_json, show, stderr_console, stdout_console, warn
from dlcli.errors import Interrupted, UsageError

_UNITS = {"": 1.0, "s": 1 / 60, "m": 1.0, "min": 1.0, "h": 60.0}


def minutes(text: str | None) -> float | None:
    """Return a time as minutes.

    Args:
        text: Such as `30`, which are minutes, `90s`, `45m` or `2h`; None for none.

    Returns:
        Minutes; None for None.

    Raises:
        UsageError: It is no time, or not above 0.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*([a-z]*)", text.strip().lower())
    if found is None or found[2] not in _UNITS or float(found[1]) <= 0:
        raise UsageError(f"--time takes minutes above 0, such as 30, or 90s, 45m, 2h; got {text!r}")
    return float(found[1]) * _UNITS[found[2]]


def tune(
    recipe: Recipe = Path("recipe.toml"),
    overrides: Set = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Settings to try in all; without it, tune.trials.")
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Time for the whole search, in minutes or as 90s, 45m, 2h; beside --trials."),
    ] = None,
    kfold: Folds = None,
    stages: Annotated[
        int | None, typer.Option(metavar="N", help="Coarse to fine: N searches from 1 epoch to all.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="tpe, random, grid, quasi_random, gp, cmaes, or a plugin's."),
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Local processes.")] = 1,
    show_space: Annotated[
        bool, typer.Option("--show-space", help="Draw ten settings and end: nothing is trained.")
    ] = False,
    new: Annotated[
        bool, typer.Option("--new", help="Begin another search instead of going on with the one there is.")
    ] = False,
    engine: Engine = None,
    device: Device = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the run; without it, the recipe's name.")
    ] = None,
    join: Annotated[str | None, typer.Option(metavar="RUN", hidden=True)] = None,
    runs: Runs = Path("runs"),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Search the keys of tune.space for better values, and train the best.

    A setting is scored on the validation rows, or with --kfold by its mean over K folds.
    The best one is retrained on training and validation rows, and looked at on the test rows once.
    Ctrl-C saves; the same command goes on, extends (more --trials) or, on another machine, joins.
    """
    from dlcli.experiment.tune import join as join_search
    from dlcli.experiment.tune import show_space as draw_space
    from dlcli.experiment.tune import tune as tune_recipe
    from dlcli.report.tune_display import choose_tune_display
    from dlcli.report.tune_space import space_view
    from dlcli.report.tune_summary import tune_summary_view

    if join is not None:
        join_search(join)
        return
    if show_space:
        settings = draw_space(recipe, overrides=overrides or ())
        if as_json:
            print_json({"settings": settings})
        else:
            show(space_view(settings))
        return
    outcome = tune_recipe(
        recipe,
        overrides=overrides or (),
        trials=trials,
        minutes=minutes(time),
        kfold=fold_number(kfold),
        stages=stages,
        method=method,
        workers=workers,
        new=new,
        engine=engine,
        device=device,
        name=name,
        runs=runs,
        display=choose_tune_display(stderr_console() if as_json else stdout_console(), quiet=quiet),
    )
    if as_json:
        print_json(outcome.as_json())
    elif not quiet:
        show(tune_summary_view(outcome))
    if outcome.status == "interrupted":
        if quiet and not as_json:
            warn("interrupted; its state is saved: the same command goes on")
        raise typer.Exit(Interrupted.exit_code)
