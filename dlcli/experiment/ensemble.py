"""The use case behind `dlcli ensemble`: members are trained, or found, and become one model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dlcli.errors import Problem, RecipeError, UsageError
from dlcli.experiment.address import find_address
from dlcli.experiment.ensembling.execution import EnsembleExecution, execute
from dlcli.experiment.ensembling.library import Library, read_library
from dlcli.experiment.ensembling.reopen import COMMENT, reopen
from dlcli.experiment.ensembling.sources import is_recipe, recipe_of_runs
from dlcli.experiment.ensembling.state import Prepared
from dlcli.experiment.environment import git_state, now, versions
from dlcli.experiment.members import make_member, recipe_components, training_rows
from dlcli.experiment.models.model_file import packages
from dlcli.experiment.prepare import placed, read_data, told_data
from dlcli.experiment.run_directory import RUNS, RunDirectory, make_run
from dlcli.experiment.run_recipe import write_recipe
from dlcli.experiment.settle import settle
from dlcli.experiment.switches import training_device
from dlcli.experiment.train import check_extras
from dlcli.plugins import Plugins, load_plugins
from dlcli.recipe.ensemble_section import EnsembleSection
from dlcli.recipe.load import load_recipe
from dlcli.recipe.model import Recipe
from dlcli.recipe.overrides import Override
from dlcli.report.ensemble_display import EnsembleDisplay
from dlcli.report.ensemble_outcome import EnsembleOutcome
from dlcli.report.ensemble_plain import QuietEnsembleDisplay


def ensemble(
    *sources: str | Path | Mapping[str, Any],
    strategy: str | None = None,
    members: int | None = None,
    top: int | None = None,
    skip_missing: bool = False,
    resume: str | Path | None = None,
    overrides: Sequence[str] = (),
    engine: str | None = None,
    device: str | None = None,
    name: str | None = None,
    runs: str | Path = RUNS,
    display: EnsembleDisplay | None = None,
    plugins: Plugins | None = None,
) -> EnsembleOutcome:
    """Train members and combine them, or combine runs that exist.

    Args:
        *sources: A recipe, as a file or a mapping; or runs, `RUN@fold-3` for a member of one.
        strategy: Name of the strategy; wins over `ensemble.strategy`.
        members: How many members, ≥ 1; wins over `ensemble.members`.
        top: How many of its best trials a search among the runs stands for, ≥ 1.
        skip_missing: Whether runs that are missing or damaged are left out.
        resume: A run to go on with, or to extend with more members, instead of sources.
        overrides: `key=value` texts, as after `--set`.
        engine: `auto`, `loop` or `vectorized`; wins over `train.engine`.
        device: `auto`, `cpu`, `cuda` or `mps`; wins over `train.device`.
        name: Name of the run's folder; wins over `name`.
        runs: Folder of all runs.
        display: Shows progress; nothing is shown where None.
        plugins: Loaded plugins; loaded here where None.

    Returns:
        What it came to, finished or interrupted.

    Raises:
        UsageError: The arguments do not go together, or the runs do not.
        RecipeError: The recipe is wrong; all problems at once.
        DataError: The dataset, or a run's model, cannot be used.
        PluginError: A package that a run's model needs is not installed.
        TrainingError: Training failed.
    """
    plugins = plugins or load_plugins()
    given = {
        "ensemble.strategy": strategy,
        "ensemble.members": members,
        "ensemble.top": top,
        "ensemble.skip_missing": skip_missing or None,
        "train.engine": engine,
        "train.device": device,
        "name": name,
    }
    flags = [Override(key, tuple(key.split(".")), value) for key, value in given.items() if value is not None]
    every: list[str | Override] = [*flags[:1], *overrides, *flags[1:]] if strategy else [*overrides, *flags]
    root = Path(runs)
    if resume is not None:
        if sources or strategy is not None or top is not None or name is not None:
            raise UsageError(
                "resuming goes on with the run's own recipe: give no sources, strategy, --top or --name; only "
                "--members may grow"
            )
        execution = reopen(find_address(resume, root), every, plugins, prepare_ensemble)
    else:
        execution = _begin(sources, every, root, plugins, top)
    return execute(execution, display or QuietEnsembleDisplay(), plugins)


def _begin(
    sources: Sequence[str | Path | Mapping[str, Any]],
    overrides: Sequence[str | Override],
    runs: Path,
    plugins: Plugins,
    top: int | None,
) -> EnsembleExecution:
    unknown = [source for source in sources if not isinstance(source, str | Path | Mapping)]
    if unknown:
        raise UsageError(f"a source is a recipe or a run: a path, a name or a mapping; got {unknown[0]!r}")
    if not sources:
        raise UsageError("there is nothing to combine: give a recipe, or runs, or a run to resume")
    paths = [source for source in sources if not isinstance(source, Mapping)]
    source: Path | Mapping[str, Any] | None = None
    if len(paths) < len(sources):
        if len(sources) > 1:
            raise UsageError("a recipe stands alone: give one recipe, or runs")
        source = next(source for source in sources if isinstance(source, Mapping))
    elif is_recipe(paths, runs):
        source = Path(paths[0])
    elif any(str(path).endswith(".toml") for path in paths):
        raise UsageError("a recipe stands alone: give one recipe, or runs")
    if source is None:
        recipe = recipe_of_runs(paths, overrides, runs, plugins, top=top)
        folder = Path.cwd()
        prepared = prepare_ensemble(recipe, folder, runs, plugins)
    else:
        recipe = load_recipe(source, plugins.registry, overrides)
        folder = Path.cwd() if isinstance(source, Mapping) else source.parent
        with placed(source):
            prepared = prepare_ensemble(recipe, folder, runs, plugins)
    check_extras(recipe)

    def fill(run: RunDirectory) -> dict[str, Any]:
        return _write_start(run, prepared, plugins)

    run, table = make_run(recipe.name, fill, runs)
    notes = () if prepared.library is None else prepared.library.notes
    return EnsembleExecution(run, prepared, table, resume=False, notes=notes)


def prepare_ensemble(recipe: Recipe, folder: Path, runs: Path, plugins: Plugins) -> Prepared:
    """Read the data and the runs, settle what the recipe leaves open, and see that the strategy can do it.

    Args:
        recipe: A checked recipe.
        folder: Folder that `ensemble.runs` is relative to.
        runs: Folder of all runs.
        plugins: Where components are.

    Returns:
        The recipe as live objects.

    Raises:
        RecipeError: The recipe does not fit the data, or the strategy not the recipe.
        UsageError: The runs do not go together.
        DataError: The data, or a run's model, cannot be used.
    """
    training_device(recipe)
    if recipe.ensemble is None:
        recipe = load_section(recipe, plugins)
    section = recipe.ensemble
    if section is None:
        raise ValueError("the recipe has no [ensemble]")
    dataset = read_data(recipe)
    settled = settle(recipe, dataset, plugins.registry)
    training, validation = training_rows(settled, dataset)
    library: Library | None = None
    test = dataset.splits.get("test")
    if section.runs:
        library = read_library(settled, dataset, folder, runs, plugins)
        deciding = library.deciding
        if not any(given.folds for given in library.members):
            deciding = deciding[~torch.isin(deciding, training)]  # a recipe may split otherwise than the runs did
        validation = deciding if len(deciding) else None
        section = section.model_copy(update={"runs": library.references})
        settled = settled.model_copy(update={"ensemble": section})
        test = library.test[torch.isin(library.test, library.test if test is None else test)]
    judge = make_member(settled, dataset, "judge", training, dataset.splits.get("val"))
    prepared = Prepared(settled, section, dataset, judge, training, validation, test, library)
    problems = list(_problems(prepared))
    if problems:
        raise RecipeError(problems)
    return prepared


def load_section(recipe: Recipe, plugins: Plugins) -> Recipe:
    """Return a recipe with the defaults of `[ensemble]`."""
    section = EnsembleSection.model_validate({}, context={"registry": plugins.registry})
    return recipe.model_copy(update={"ensemble": section})


def _problems(prepared: Prepared) -> list[Problem]:
    """Return what does not go together: the strategy, the members, the data, and keys of other commands."""
    recipe, section, strategy = prepared.recipe, prepared.section, prepared.strategy
    found: list[Problem] = []

    def add(key: str, message: str) -> None:
        found.append(Problem("", key, message))

    if strategy.takes == "trained" and section.runs:
        add("ensemble.strategy", f"{strategy.name} trains its members itself: give it a recipe instead of runs")
    if strategy.takes == "given" and not section.runs:
        add("ensemble.strategy", f"{strategy.name} combines runs that exist: give them after dlcli ensemble")
    if section.members is not None and strategy.counts is None:
        add("ensemble.members", f"{strategy.name} makes one network: it takes no number of members; remove the key")
    if section.runs and isinstance(section.members, int) and strategy.counts is not None and not strategy.picks:
        add("ensemble.members", f"{strategy.name} takes every run that is given, whatever their number; remove the key")
    if section.top is not None and not section.runs:
        add("ensemble.top", "it takes the best trials of a search among ensemble.runs, and there are no runs")
    if section.runs and isinstance(section.members, tuple):
        add("ensemble.members", "tables list networks to train, but the members are runs; remove the tables")
    task = prepared.dataset.task
    if task not in strategy.tasks:
        there = ", ".join(sorted(strategy.tasks))
        add("ensemble.strategy", f"{strategy.name} is for {there}, but the target makes this a {task} task")
    if strategy.needs_validation and prepared.validation_rows is None:
        where = "the runs share no rows that none of them was trained on" if section.runs else "there are none"
        add(
            "ensemble.strategy",
            f"{strategy.name} chooses by validation rows, and {where}: "
            + ("train them with the same splits" if section.runs else "set data.split.val"),
        )
    if section.temperature_scaling and (not task.classifies or prepared.judge.io.per_position):
        kind = "has a target for every position" if task.classifies else f"is {task}"
        add("ensemble.temperature_scaling", f"it divides logits of classes, but the task {kind}: set it to false")
    train = recipe.train
    if train.seeds > 1:
        add("train.seeds", "an ensemble has members of its own: set ensemble.members instead, and remove the key")
    if train.kfold is not None:
        add("train.kfold", "an ensemble trains on one split; remove the key (stacking has folds of its own)")
    if train.start_from is not None or train.freeze is not None:
        key = "train.start_from" if train.start_from is not None else "train.freeze"
        add(key, "members of an ensemble start fresh; train runs with dlcli train --from, and combine those")
    return found


def _write_start(run: RunDirectory, prepared: Prepared, plugins: Plugins) -> dict[str, Any]:
    """Write what a fresh run starts with: the resolved recipe and `run.json`."""
    recipe = prepared.recipe
    table = write_recipe(run, recipe, plugins.registry, comment=COMMENT)
    judge = prepared.judge
    run.update(
        command="ensemble",
        name=recipe.name,
        status="running",
        started=now(),
        finished=None,
        seed=recipe.seed,
        task=str(prepared.dataset.task),
        monitor=judge.monitor if prepared.validation_rows is None else recipe.train.monitor,
        direction=judge.direction,
        strategy=prepared.strategy.name,
        data=told_data(recipe, prepared.dataset),
        versions=versions(),
        packages=packages([*recipe_components(recipe), prepared.strategy], plugins),
        git=git_state(),
        recipe=table,
        given=[given.identity for given in prepared.given.values()],
        members=[],
    )
    return table
