"""`dlcli build`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dlcli.cli.options import Device, Json, Quiet, Recipe, Set
from dlcli.cli.output import print_json, show, stderr_console, stdout_console
from dlcli.errors import TrainingError, UsageError


def build(
    recipe: Recipe = Path("recipe.toml"),
    overrides: Set = None,
    device: Device = None,
    overfit_batch: Annotated[
        bool,
        typer.Option("--overfit-batch", help="Instead, train on one batch alone until it is known by heart."),
    ] = False,
    diagram: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw the network into a file.")] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Check everything that training needs, on one batch.

    Validates the recipe and the data, and sends one batch forward and backward.
    Shows the task, every layer with its costs, whether training fits into memory, and advice on the network.
    Trains nothing and writes nothing but the diagram that is asked for.
    With --overfit-batch it tells whether the network can learn: exit code 5 where the loss stays far from zero.
    """
    if overfit_batch:
        if diagram is not None:
            raise UsageError("--diagram goes with a plain build: leave out --overfit-batch, or call dlcli build twice")
        _overfit_batch(recipe, overrides or (), device, quiet=quiet, as_json=as_json)
        return
    from dlcli.experiment.build import build as build_recipe
    from dlcli.report.layout import line
    from dlcli.report.preflight import preflight_view

    preflight = build_recipe(recipe, overrides=overrides or (), device=device, diagram=diagram)
    if as_json:
        print_json(preflight.as_json())
    elif not quiet:
        show(preflight_view(preflight))
        if diagram is not None:
            show(line("drawn", str(diagram)))


def _overfit_batch(recipe: Path, overrides: Sequence[str], device: str | None, *, quiet: bool, as_json: bool) -> None:
    from dlcli.experiment.overfit_batch import overfit_batch
    from dlcli.report.overfit_batch import overfit_batch_view
    from dlcli.report.overfit_batch_progress import OverfitBatchProgress

    console = stderr_console() if as_json else stdout_console()
    with OverfitBatchProgress(console, quiet=quiet) as progress:
        found = overfit_batch(recipe, overrides=overrides, device=device, progress=progress)
    if as_json:
        print_json(found.as_json())
    elif not quiet:
        show(overfit_batch_view(found))
    if not found.reached:
        raise typer.Exit(TrainingError.exit_code)
