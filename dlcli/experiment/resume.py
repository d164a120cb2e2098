"""`--resume RUN`: goes on with a run whose recipe and data are what they were."""

from collections.abc import Sequence
from pathlib import Path

from dlcli.errors import DataError, UsageError
from dlcli.experiment.execution import Execution
from dlcli.experiment.fold_file import read_folds, same_folds
from dlcli.experiment.going_on import check_same_data, notes_on_going_on, recipe_to_go_on
from dlcli.experiment.prepare import prepare
from dlcli.experiment.run_directory import RunDirectory
from dlcli.experiment.run_recipe import write_recipe
from dlcli.experiment.warm_start import frozen_parameters
from dlcli.plugins import Plugins
from dlcli.recipe.model import Recipe
from dlcli.recipe.overrides import Override
from dlcli.training.tensor_file import read_tensors

MAY_CHANGE = ("train.epochs:", "train.device:", "data.path:", "data.folds.file:", "train.start_from:")
"""Differences that a run survives: paths in it are relative, and the fingerprint says whether data is the same."""


def reopen(run: RunDirectory, overrides: Sequence[str | Override], plugins: Plugins) -> Execution:
    """Prepare a run to go on.

    Args:
        run: The run.
        overrides: `key=value` texts; only epochs (which may grow), the device and the data's place may change.
        plugins: Where its components are.

    Returns:
        What is to happen.

    Raises:
        UsageError: It is running, or its recipe was changed, or the change is none that a run survives.
        DataError: Its data was changed.
    """
    facts = run.read()
    if facts.get("command") == "tune":
        raise UsageError(f"{run.path} is a search: it goes on with the dlcli tune command that began it")
    if facts.get("command") == "ensemble":
        raise UsageError(f"{run.path} is an ensemble: go on with dlcli ensemble --resume {run.path}")
    recipe = recipe_to_go_on(
        run,
        facts,
        overrides,
        plugins,
        may_change=MAY_CHANGE,
        otherwise="A run goes on only with its own recipe (train.epochs may grow, data.path may move): change it back, "
        f"or start a new run with dlcli train {run.recipe} --from {run.path}",
    )
    _check_epochs(run, facts["recipe"]["train"]["epochs"], recipe)
    prepared = prepare(recipe, plugins.registry)
    check_same_data(run, facts, recipe, prepared.dataset)
    run.sweep()
    if prepared.plan.folds and not same_folds(prepared.plan.folds, read_folds(run.folds)):
        raise DataError(
            f"the folds of {run.path} are not those that this version of torch makes: go on with the version that it "
            f"began with ({facts['versions']['torch']}), or train anew"
        )
    if run.start.exists():
        prepared = prepared.with_members(initial_state=read_tensors(run.start))
    if recipe.train.freeze is not None:
        prepared = prepared.with_members(frozen=frozen_parameters(prepared.member, recipe.train.freeze))
    table = write_recipe(run, prepared.recipe, plugins.registry)
    run.update(recipe=table, data={**facts["data"], "path": str(Path(recipe.data.path).resolve())})
    return Execution(run, prepared, table, resume=True, notes=notes_on_going_on(run, facts))


def _check_epochs(run: RunDirectory, before: int, recipe: Recipe) -> None:
    """Refuse fewer epochs, and more where the finished epochs were laid out for the number that there was."""
    train = recipe.train
    after = train.epochs
    if after < before:
        raise UsageError(f"train.epochs of {run.path} is {before} and may only grow, got {after}")
    if after > before and (train.seeds > 1 or train.kfold is not None):
        raise UsageError(
            f"train.epochs of {run.path} cannot grow from {before} to {after}: only a run of one network may grow; "
            f"train anew with dlcli train {run.recipe} --set train.epochs={after}"
        )
    if after > before and train.schedule.needs_horizon and train.horizon is None:
        raise UsageError(
            f"train.epochs of {run.path} cannot grow from {before} to {after}: its schedule depends on the number of "
            "epochs, so the finished epochs would have had other learning rates; train anew, or start from its "
            f"weights with dlcli train {run.recipe} --from {run.path} --set train.epochs={after}"
        )
