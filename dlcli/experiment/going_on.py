"""What every run must keep to go on: its recipe and its data; `train --resume` and `ensemble --resume` share it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlcli.contracts.dataset import Dataset
from dlcli.errors import DataError, UsageError
from dlcli.experiment.environment import versions
from dlcli.experiment.run_directory import RunDirectory, is_running
from dlcli.plugins import Plugins
from dlcli.recipe.difference import differences
from dlcli.recipe.load import load_recipe
from dlcli.recipe.model import Recipe
from dlcli.recipe.overrides import Override
from dlcli.recipe.resolved import resolve


def recipe_to_go_on(
    run: RunDirectory,
    facts: Mapping[str, Any],
    overrides: Sequence[str | Override],
    plugins: Plugins,
    *,
    may_change: tuple[str, ...],
    otherwise: str,
) -> Recipe:
    """Return the recipe that a run goes on with.

    Args:
        run: The run.
        facts: Its `run.json`.
        overrides: What is set in its recipe.
        plugins: Where components are.
        may_change: How lines of differences begin that the run survives.
        otherwise: What to say, and to do, where there are others.

    Returns:
        The recipe; its data file is there.

    Raises:
        UsageError: The run is at work, or its recipe was changed.
        DataError: The data file is not there.
    """
    if is_running(dict(facts)):
        raise UsageError(f"{run.path} is running as process {facts['pid']}: wait for it, or interrupt it first")
    recipe = load_recipe(run.recipe, plugins.registry, overrides)
    found = differences(facts["recipe"], resolve(recipe, plugins.registry))
    changes = [line for line in found if not line.startswith(may_change)]
    if changes:
        raise UsageError(f"the recipe of {run.path} is not what it began with: {'; '.join(changes)}. {otherwise}")
    if not Path(recipe.data.path).is_file():
        raise DataError(f"{recipe.data.path} is not there: give its new place with --set data.path=…")
    return recipe


def check_same_data(run: RunDirectory, facts: Mapping[str, Any], recipe: Recipe, dataset: Dataset) -> None:
    """Refuse data that is not what a run began with."""
    before = facts["data"]["fingerprint"]
    if dataset.fingerprint != before:
        raise DataError(
            f"the data of {run.path} was changed: the fingerprint of {recipe.data.path} is {dataset.fingerprint}, it "
            f"was {before}; restore the file, or begin a new run"
        )


def notes_on_going_on(run: RunDirectory, facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the user should know when a run goes on."""
    other = "versions of packages are not those that the run began with: the last bits may differ"
    return (f"goes on with {run.path}", *([other] if facts["versions"] != versions() else []))
