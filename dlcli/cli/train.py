"""`dlcli train`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli import completion
from dlcli.cli.options import Device, Engine, Folds, Json, Quiet, Runs, Set, fold_number
from dlcli.cli.output import print_json, show, stderr_console, stdout_console, warn
from dlcli.errors import Interrupted, UsageError


def train(
    recipe: Annotated[
        Path | None,
        typer.Argument(
            metavar="RECIPE",
            help="Recipe, a TOML file; none with --resume.",
            show_default="recipe.toml",
            autocompletion=completion.recipes,
        ),
    ] = None,
    overrides: Set = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="Train N networks that differ only in their randomness.")
    ] = None,
    kfold: Folds = None,
    engine: Engine = None,
    device: Device = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the run; without it, the recipe's name.")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Go on with a run that was cut short.", autocompletion=completion.run_names),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Start from the weights of a run, or of a member, RUN@fold-3.",
            autocompletion=completion.run_names,
        ),
    ] = None,
    freeze: Annotated[
        str | None,
        typer.Option(
            metavar="SELECTOR",
            help="With --from: parameters that are not trained; weights, all, or patterns such as blocks.0.*",
        ),
    ] = None,
    find_lr: Annotated[
        bool,
        typer.Option("--find-lr", help="Leave no run: try rising learning rates for 100 steps, and suggest one."),
    ] = False,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="With --find-lr: leave its picture here.")] = None,
    runs: Runs = Path("runs"),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a network, or several, and leave a run directory.

    With --seeds or --kfold, what the run is judged by is a mean and its spread, and its model is the networks' mean.
    Progress is live on a terminal and one line an epoch elsewhere.
    With --json it goes to stderr, and stdout gets one object.
    Ctrl-C saves the state and says how to go on.
    With --find-lr nothing is left: losses at rising learning rates are shown, and with --json they are the object.
    """
    if find_lr:
        given = {"--seeds": seeds, "--kfold": kfold, "--engine": engine, "--name": name, "--resume": resume}
        _refuse_with_find_lr([option for option, value in given.items() if value is not None])
        source = recipe or Path("recipe.toml")
        _find_lr(source, overrides, device, start_from, freeze, runs, svg, quiet=quiet, as_json=as_json)
        return
    if svg is not None:
        raise UsageError("--svg is the picture of --find-lr: add --find-lr, or leave it out")
    from dlcli.experiment.train import train as train_recipe
    from dlcli.report.display import choose_display
    from dlcli.report.summary import summary_view

    summary = train_recipe(
        recipe if recipe or resume else Path("recipe.toml"),
        overrides=overrides or (),
        seeds=seeds,
        kfold=fold_number(kfold),
        engine=engine,
        device=device,
        name=name,
        resume=resume,
        start_from=start_from,
        freeze=freeze,
        runs=runs,
        display=choose_display(stderr_console() if as_json else stdout_console(), quiet=quiet),
    )
    if as_json:
        print_json(summary.as_json())
    elif not quiet:
        show(summary_view(summary))
    if summary.status == "interrupted":
        if quiet and not as_json:
            warn(f"interrupted; its state is saved: dlcli train --resume {summary.run}")
        raise typer.Exit(Interrupted.exit_code)


def _refuse_with_find_lr(options: Sequence[str]) -> None:
    if options:
        raise UsageError(
            f"--find-lr tests one network and leaves no run: leave out {', '.join(options)}, or train without --find-lr"
        )


def _find_lr(
    recipe: Path,
    overrides: Sequence[str] | None,
    device: str | None,
    start_from: str | None,
    freeze: str | None,
    runs: Path,
    svg: Path | None,
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    from dlcli.experiment.find_lr import find_lr
    from dlcli.report.find_lr import find_lr_view

    test = find_lr(
        recipe,
        overrides=overrides or (),
        device=device,
        start_from=start_from,
        freeze=freeze,
        runs=runs,
        svg=svg,
    )
    if as_json:
        print_json(test.as_json())
    elif not quiet:
        show(find_lr_view(test))
