"""The run of a search: begun, or joined where there is one of the same recipe already."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlcli.contracts.folds import Fold
from dlcli.contracts.search import Space
from dlcli.errors import DataError, Problem, RecipeError, UsageError
from dlcli.experiment.environment import git_state, now, versions
from dlcli.experiment.fold_file import read_folds, same_folds, write_folds
from dlcli.experiment.members import (
    how_folds_are_made,
    make_member,
    recipe_components,
    recipe_folds,
    told_folds,
)
from dlcli.experiment.models.model_file import packages
from dlcli.experiment.prepare import placed, read_data, told_data
from dlcli.experiment.rehearsal import check_member
from dlcli.experiment.run_directory import RunDirectory, make_run
from dlcli.experiment.run_recipe import write_recipe
from dlcli.experiment.settle import direction, settle, settled_metrics
from dlcli.experiment.switches import training_device
from dlcli.experiment.tuning.problem import Trials, rounds_of
from dlcli.plugins import Plugins
from dlcli.recipe.difference import differences
from dlcli.recipe.load import load_recipe
from dlcli.recipe.model import Recipe
from dlcli.recipe.overrides import Override
from dlcli.recipe.resolved import resolve
from dlcli.recipe.space import read_space
from dlcli.recipe.tune_section import TuneSection
from dlcli.search.budget import Budget, population_size
from dlcli.search.claims import FileClock
from dlcli.search.heart import Heart
from dlcli.search.joining import extend
from dlcli.search.search_file import SearchFile, SearchPlan
from dlcli.search.stages import stage_epochs

MAY_CHANGE = ("tune.trials:", "tune.time_minutes:", "tune.keep:", "train.device:", "data.path:")
"""Differences that a search survives: its budget may grow, and a fingerprint says whether the data is the same."""


@dataclass(frozen=True)
class Tuning:
    """A search, ready to be worked on.

    Args:
        trials: What settings are tried on.
        recipe: The recipe with its `[tune]`, settled.
        tune: Its `[tune]`.
        space: What is searched.
        plan: What every worker must agree on.
        folds: Its folds; empty where there is a single validation split.
    """

    trials: Trials
    recipe: Recipe
    tune: TuneSection
    space: Space
    plan: SearchPlan
    folds: tuple[Fold, ...] = ()

    @property
    def budget(self) -> Budget:
        """How much the recipe lets it try."""
        return Budget(self.tune.trials, self.tune.time_minutes)


def ready(source: str | Path | Mapping[str, Any], overrides: Sequence[str | Override], plugins: Plugins) -> Tuning:
    """Read a recipe and its data, and find out everything that is wrong before anything is searched.

    Args:
        source: The recipe.
        overrides: What is set in it.
        plugins: Where its components are.

    Returns:
        The search.

    Raises:
        UsageError: There is nothing to search, or the recipe asks for what a search cannot do.
        RecipeError: The recipe is wrong; all problems at once.
        DataError: The data cannot be used, or has no validation rows.
        PluginError: The search method needs a package that is not installed.
    """
    recipe = load_recipe(source if isinstance(source, Mapping) else Path(source), plugins.registry, overrides)
    tune = checked_section(recipe)
    device = training_device(recipe)
    folds = tune.kfold or recipe.train.kfold
    # A search trains one network a setting and fold; its folds take the place of the recipe's own.
    train = recipe.train.model_copy(update={"kfold": folds, "seeds": 1})
    recipe = recipe.model_copy(update={"train": train})
    with placed(source):
        dataset = read_data(recipe)
        if folds is None and "val" not in dataset.splits:
            raise DataError(
                f"{recipe.data.path} has no validation rows to compare settings by: add a split val, or score settings "
                "on folds with --kfold"
            )
        settled = settle(recipe, dataset, plugins.registry)
        made = recipe_folds(settled, dataset, folds) if folds else ()
        rounds = rounds_of(dataset, made)
        check_member(make_member(settled, dataset, "", rounds[0].training, rounds[0].validation))
    stages = stage_epochs(settled.train.epochs, tune.stages)
    if tune.trials < len(stages):
        what = f"{tune.trials} trials are too few for {len(stages)} stages, which share them"
        raise RecipeError([Problem("", "tune.trials", f"{what}; give more trials, or fewer stages")])
    monitor = settled.train.monitor
    if monitor == "train_loss":
        if folds is None:
            raise RecipeError([Problem("", "train.monitor", _OVERFITS)])
        monitor = "val_loss"
    better = direction(monitor, settled_metrics(settled))
    space = read_space(settled, plugins.registry)
    tune.method.start(space, better, settled.seed)  # says what is not installed before anything begins
    table = resolve(settled, plugins.registry)
    plan = SearchPlan(
        run=settled.name,
        direction=better,
        monitor=monitor,
        space=space,
        method=plugins.registry.dump(tune.method),
        seed=settled.seed,
        recipe=_digest(table),
        epochs=settled.train.epochs,
        folds=len(made) or 1,
        stages=tune.stages,
        population=tune.population or population_size(tune.trials),
        halving=tune.halving,
        racing=tune.racing,
    )
    trials = Trials(table, settled, dataset, rounds, device, plugins, monitor)
    return Tuning(trials, settled, tune, space, plan, made)


_OVERFITS = (
    "'train_loss' would choose the setting that fits the training rows best; set val_loss, or val_ and the name of a "
    "metric, or score settings on folds with --kfold"
)


def checked_section(recipe: Recipe) -> TuneSection:
    """Return a recipe's `[tune]`.

    Args:
        recipe: A checked recipe.

    Returns:
        The section, with a space that is not empty.

    Raises:
        UsageError: There is nothing to search.
        RecipeError: It asks for what a search cannot do.
    """
    if recipe.tune is None or not recipe.tune.space:
        raise UsageError(
            "the recipe has no [tune.space], so there is nothing to search; add one, such as\n"
            '[tune.space]\n"train.optimizer.lr" = { log_uniform = [1e-5, 1e-1] }\n'
            '"train.optimizer.weight_decay" = { log_uniform = [1e-6, 1e-1] }'
        )
    cannot = {
        "train.start_from": recipe.train.start_from is not None,
        "train.freeze": recipe.train.freeze is not None,
        "train.rows": recipe.train.rows != "train",
        "train.seeds": recipe.train.seeds > 1,
    }
    problems = [
        Problem("", key, "dlcli tune cannot do this: it trains fresh networks on training rows; remove the key")
        for key, given in cannot.items()
        if given
    ]
    if problems:
        raise RecipeError(problems)
    return recipe.tune


def _digest(table: Mapping[str, Any]) -> str:
    tune = {key: value for key, value in table["tune"].items() if key not in ("trials", "time_minutes", "keep")}
    train = {key: value for key, value in table["train"].items() if key != "device"}
    data = {key: value for key, value in table["data"].items() if key != "path"}
    text = json.dumps({**table, "tune": tune, "train": train, "data": data}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def open_run(tuning: Tuning, root: Path, *, new: bool, plugins: Plugins) -> tuple[RunDirectory, bool]:
    """Find the search of this recipe that there is, or begin one.

    Args:
        tuning: The search.
        root: Folder of all runs.
        new: Whether to begin another one whatever there is.
        plugins: Names the packages.

    Returns:
        The run, and whether it was there.

    Raises:
        UsageError: The latest search of this name has another recipe; says in what it differs.
    """
    found = None if new else _latest(root / tuning.recipe.name)
    if found is None:
        run, _ = make_run(tuning.recipe.name, lambda draft: _begin(draft, tuning, plugins), root)
        return run, False
    lines = differences(found.read()["recipe"], resolve(tuning.recipe, plugins.registry))
    changes = [line for line in lines if not line.startswith(MAY_CHANGE)]
    if changes:
        raise UsageError(
            f"{found.path} is a search of another recipe: {'; '.join(changes)}. A search goes on only with its own "
            "(its budget may grow): change the recipe back, or start another search with --new"
        )
    check_same(found, tuning)
    extend(found.path, tuning.budget)
    return found, True


def check_same(run: RunDirectory, tuning: Tuning) -> None:
    """Make sure that a search that is joined is the one that was prepared.

    Args:
        run: Its run directory.
        tuning: What was prepared.

    Raises:
        UsageError: Its recipe was changed.
        DataError: A file of it is damaged, or its folds are others.
    """
    if SearchFile(run.path).read().plan.recipe != tuning.plan.recipe:
        raise UsageError(
            f"{run.recipe} is not what the search began with: change it back, or start another search with --new"
        )
    if tuning.plan.folds > 1 and not same_folds(tuning.folds, read_folds(run.folds)):
        raise DataError(
            f"the folds of {run.path} are not those that this machine makes: its version of torch must be the one that "
            f"the search began with ({run.read()['versions']['torch']}); install that, or start anew with --new"
        )


def update_run(run: RunDirectory, lease_seconds: float, **entries: Any) -> None:
    """Change `run.json` of a search, which several processes may want to at once.

    Args:
        run: Its run directory.
        lease_seconds: After how long a process that died while it did so is passed over.
        **entries: What to put in.
    """
    # A heart that does not beat will do: the lock is held for a moment.
    with Heart(FileClock(run.path / "run.json"), lease_seconds).lock(run.path / "run.lock"):
        run.update(**entries)


def _latest(folder: Path) -> RunDirectory | None:
    numbered = sorted((path for path in folder.glob("*") if path.name.isdecimal()), key=lambda path: int(path.name))
    for path in reversed(numbered):
        if (path / "run.json").exists() and RunDirectory(path).read().get("command") == "tune":
            return RunDirectory(path)
    return None


def _begin(run: RunDirectory, tuning: Tuning, plugins: Plugins) -> None:
    recipe, dataset = tuning.recipe, tuning.trials.dataset
    table = write_recipe(run, recipe, plugins.registry)
    if tuning.folds:
        write_folds(run.folds, tuning.folds, dataset, how_folds_are_made(recipe, dataset))
        run.update(folds=told_folds(recipe, dataset, tuning.folds))
    SearchFile(run.path).create(tuning.plan, tuning.budget)
    run.update(
        command="tune",
        name=recipe.name,
        status="running",
        started=now(),
        finished=None,
        seed=recipe.seed,
        task=str(dataset.task),
        monitor=tuning.plan.monitor,
        direction=tuning.plan.direction,
        data=told_data(recipe, dataset),
        versions=versions(),
        packages=packages([*recipe_components(recipe), tuning.tune.method], plugins),
        git=git_state(),
        recipe=table,
    )
