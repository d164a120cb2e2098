"""`dlcli build`."""

from pathlib import Path

from dlcli.cli.options import Device, Json, Quiet, Recipe, Set
from dlcli.cli.output import print_json, show


def build(
    recipe: Recipe = Path("recipe.toml"),
    overrides: Set = None,
    device: Device = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Check everything that training needs, on one batch.

    Validates the recipe and the data, and sends one batch forward and backward.
    Shows the task, every layer with its output shape, parameters, multiply-adds and memory, what training takes of the
    device's memory and whether it fits, and advice on the network.
    Trains nothing and writes nothing.
    """
    from dlcli.experiment.build import build as build_recipe
    from dlcli.report.preflight import preflight_view

    preflight = build_recipe(recipe, overrides=overrides or (), device=device)
    if as_json:
        print_json(preflight.as_json())
    elif not quiet:
        show(preflight_view(preflight))
