"""The resolved recipe as it stands in its run: every default written out, paths relative to the run's directory."""

import os
from pathlib import Path
from typing import Any

from dlcli import atomic
from dlcli.experiment.run_directory import RunDirectory
from dlcli.recipe.model import Recipe
from dlcli.recipe.resolved import resolve, to_toml
from dlcli.registry import Registry


def write_recipe(
    run: RunDirectory,
    recipe: Recipe,
    registry: Registry,
    *,
    file: str = "recipe.toml",
    comment: str = "Resolved recipe of a run: dlcli train takes it as it is.",
) -> dict[str, Any]:
    """Write a recipe into a run; `dlcli train` takes it as it is, from anywhere.

    Args:
        run: Its directory.
        recipe: The recipe with everything filled in; its paths are absolute.
        registry: Names the components.
        file: Name of the file; by default that of the run's own recipe.
        comment: Written at its head.

    Returns:
        The recipe as a table.
    """
    table = resolve(recipe, registry)
    folder = run.path.resolve()
    table["data"]["path"] = os.path.relpath(Path(recipe.data.path).resolve(), folder)
    if recipe.data.folds is not None and recipe.data.folds.file is not None:
        # The run has its folds beside it, and must not depend on a file of others.
        table["data"]["folds"]["file"] = run.folds.name
    if recipe.train.start_from is not None:
        table["train"]["start_from"] = os.path.relpath(Path(recipe.train.start_from).resolve(), folder)
    if recipe.ensemble is not None and recipe.ensemble.runs:
        table["ensemble"]["runs"] = [
            os.path.relpath(reference, folder) if os.path.isabs(reference) else reference
            for reference in recipe.ensemble.runs
        ]
    atomic.write_text(run.path / file, to_toml(table, comment))
    return table
