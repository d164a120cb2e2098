"""The use case behind `dlcli train`: a recipe becomes a run; an interrupted run goes on."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from dlcli import atomic
from dlcli.errors import PluginError, UsageError
from dlcli.experiment.address import Address, find_address
from dlcli.experiment.environment import git_state, now, versions
from dlcli.experiment.execution import Execution, execute
from dlcli.experiment.fold_file import write_folds
from dlcli.experiment.members import how_folds_are_made, recipe_components, told_folds
from dlcli.experiment.models.model_file import packages
from dlcli.experiment.prepare import Prepared, placed, prepare, told_data
from dlcli.experiment.resume import reopen
from dlcli.experiment.run_directory import RUNS, RunDirectory, make_run
from dlcli.experiment.run_recipe import write_recipe
from dlcli.experiment.summary import Summary
from dlcli.experiment.switches import training_device
from dlcli.experiment.warm_start import WarmStart, begin_from, frozen_parameters
from dlcli.plugins import Plugins, load_plugins
from dlcli.recipe.load import load_recipe
from dlcli.recipe.model import Recipe
from dlcli.recipe.overrides import Override
from dlcli.report.display import Display
from dlcli.report.plain import QuietDisplay

DEFAULT_FOLDS = 5
"""What `--kfold` without a number means where the recipe has no `tune.kfold`."""


def train(
    recipe: str | Path | Mapping[str, Any] | None = None,
    *,
    overrides: Sequence[str] = (),
    device: str | None = None,
    name: str | None = None,
    resume: str | Path | None = None,
    start_from: str | Path | None = None,
    freeze: str | None = None,
    seeds: int | None = None,
    kfold: int | bool | None = None,
    engine: str | None = None,
    runs: str | Path = RUNS,
    display: Display | None = None,
    plugins: Plugins | None = None,
) -> Summary:
    """Train a recipe, or go on with a run.

    Args:
        recipe: A recipe file, or a recipe as a mapping whose paths are relative to the current folder.
        overrides: `key=value` texts, as after `--set`.
        device: `auto`, `cpu`, `cuda` or `mps`; wins over `train.device`.
        name: Name of the run's folder; wins over `name`.
        resume: A run to go on with, instead of a recipe.
        start_from: A run whose weights to start from; wins over `train.start_from`.
        freeze: Which parameters not to train; wins over `train.freeze`.
        seeds: How many networks to train, alike but for their randomness, ≥ 1; wins over `train.seeds`.
        kfold: How many folds to cross-validate on, ≥ 2; True for `tune.kfold`, or 5; wins over `train.kfold`.
        engine: `auto`, `loop` or `vectorized`; wins over `train.engine`.
        runs: Folder of all runs.
        display: Shows progress; nothing is shown where None.
        plugins: Loaded plugins; loaded here where None.

    Returns:
        The summary of the finished or interrupted run.

    Raises:
        UsageError: The arguments do not go together.
        RecipeError: The recipe is wrong; all problems at once.
        DataError: The dataset cannot be used.
        TrainingError: Training diverged or ran out of memory.
    """
    plugins = plugins or load_plugins()
    flags = {"train.device": device, "name": name, "train.start_from": start_from, "train.freeze": freeze}
    given = as_overrides({**flags, "train.seeds": seeds, "train.engine": engine})
    if resume is not None:
        if recipe is not None or kfold is not None or {each.key for each in given} - {"train.device"}:
            raise UsageError(
                "resuming goes on with the run's own recipe: give neither a recipe nor what would change it; "
                "to start from a run's weights with another recipe: dlcli train RECIPE --from RUN"
            )
        address = find_address(resume, Path(runs))
        if address.member:
            raise UsageError(f"a member goes on with its run: dlcli train --resume {address.run.path}, not {address}")
        execution = reopen(address.run, [*overrides, *given], plugins)
    elif recipe is None:
        raise UsageError("there is nothing to train: give a recipe, or a run to resume")
    else:
        every: list[str | Override] = [*overrides, *given]
        if kfold is not None:
            every += as_overrides({"train.kfold": fold_count(kfold, recipe, every, plugins)})
        execution = _make_run(begin(recipe, every, Path(runs), plugins), Path(runs), plugins)
    return execute(execution, display or QuietDisplay(), plugins)


def fold_count(
    asked: int | bool,
    source: str | Path | Mapping[str, Any],
    overrides: Sequence[str | Override],
    plugins: Plugins,
) -> int:
    """Return the number of folds that `--kfold` asks for.

    Args:
        asked: The number; True stands for `tune.kfold` of the recipe, or 5.
        source: The recipe.
        overrides: What is set in it.
        plugins: Where its components are.

    Returns:
        The number, unchecked.

    Raises:
        RecipeError: The recipe, which is read for it, is wrong.
    """
    if asked is not True:
        return int(asked)
    recipe = load_recipe(source if isinstance(source, Mapping) else Path(source), plugins.registry, overrides)
    return (recipe.tune.kfold if recipe.tune else None) or DEFAULT_FOLDS


def as_overrides(flags: Mapping[str, Any]) -> list[Override]:
    """Return what options set in a recipe, by key; None stands for an option that was not given."""
    return [
        Override(key, tuple(key.split(".")), str(value) if isinstance(value, Path) else value)
        for key, value in flags.items()
        if value is not None
    ]


@dataclass(frozen=True)
class Beginning:
    """What a training begins with.

    Args:
        prepared: The recipe as live objects.
        start: The weights to start from; None for fresh ones.
        notes: What the user should know.
    """

    prepared: Prepared
    start: WarmStart | None
    notes: tuple[str, ...]


def begin(
    source: str | Path | Mapping[str, Any], overrides: Sequence[str | Override], runs: Path, plugins: Plugins
) -> Beginning:
    """Read a recipe and its data, and make its members, with the weights to start from and what is frozen.

    Args:
        source: A recipe file, or a recipe as a mapping.
        overrides: What is set in it.
        runs: Folder of all runs.
        plugins: Where its components are.

    Returns:
        All of it; nothing is written.

    Raises:
        RecipeError: The recipe is wrong; all problems at once.
        DataError: The dataset cannot be used.
        UsageError: The run to start from does not fit, or what is frozen.
    """
    recipe = load_recipe(source if isinstance(source, Mapping) else Path(source), plugins.registry, overrides)
    training_device(recipe)
    check_extras(recipe)
    with placed(source):
        prepared = prepare(recipe, plugins.registry)
    start: WarmStart | None = None
    notes: list[str] = []
    if recipe.train.start_from is not None:
        folder = Path.cwd() if isinstance(source, Mapping) else Path(source).parent
        earlier = _earlier(recipe.train.start_from, folder, runs)
        prepared, start = begin_from(prepared, earlier, plugins)
        notes = [f"started from {earlier}: {len(start.state)} tensors taken", *start.mismatches]
    if recipe.train.freeze is not None:
        prepared = prepared.with_members(frozen=frozen_parameters(prepared.member, recipe.train.freeze))
    return Beginning(prepared, start, tuple(notes))


def _make_run(beginning: Beginning, runs: Path, plugins: Plugins) -> Execution:
    prepared, start = beginning.prepared, beginning.start

    def fill(run: RunDirectory) -> dict[str, Any]:
        if start is not None:
            with atomic.storage_errors(run.start):
                save_file(dict(start.state), run.start)
        if prepared.plan.folds:
            write_folds(
                run.folds, prepared.plan.folds, prepared.dataset, how_folds_are_made(prepared.recipe, prepared.dataset)
            )
        return write_start(run, prepared, plugins)

    run, table = make_run(prepared.recipe.name, fill, runs)
    return Execution(run, prepared, table, resume=False, notes=beginning.notes)


def _earlier(reference: str, folder: Path, runs: Path) -> Address:
    """Find the run to start from: beside the recipe, or as everywhere else."""
    try:
        return find_address(folder / reference, runs)
    except UsageError:
        return find_address(reference, runs)


def check_extras(recipe: Recipe) -> None:
    """Refuse a recipe that asks for an optional package that is not installed.

    Args:
        recipe: A checked recipe.

    Raises:
        PluginError: It is not; says what to install.
    """
    if recipe.log.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise PluginError(
            "log.tensorboard = true needs the package tensorboard, which is not installed: "
            "pip install 'dlcli[tensorboard]'"
        )


def write_start(run: RunDirectory, prepared: Prepared, plugins: Plugins) -> dict[str, Any]:
    """Write what a fresh run starts with: the resolved recipe and `run.json`.

    Args:
        run: Its directory.
        prepared: Its live objects.
        plugins: Which packages the components come from.

    Returns:
        The resolved recipe as a table.
    """
    recipe = prepared.recipe
    table = write_recipe(run, recipe, plugins.registry)
    identities = {}
    if len(prepared.plan.members) > 1:
        identities = {"members": [{"identity": other.identity} for other in prepared.plan.members]}
    if prepared.plan.folds:
        run.update(folds=told_folds(recipe, prepared.dataset, prepared.plan.folds))
    run.update(
        command="train",
        name=recipe.name,
        status="running",
        started=now(),
        finished=None,
        seed=recipe.seed,
        task=str(prepared.dataset.task),
        monitor=prepared.monitor,
        direction=prepared.direction,
        data=told_data(recipe, prepared.dataset),
        versions=versions(),
        packages=packages(recipe_components(recipe), plugins),
        git=git_state(),
        recipe=table,
        **identities,
    )
    return table
