"""The use case behind `dlcli train`: a recipe becomes a run; an interrupted run goes on."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from dlcli import atomic
from dlcli.errors import PluginError, UsageError
from dlcli.experiment.environment import git_state, now, versions
from dlcli.experiment.execution import Execution, execute
from dlcli.experiment.model_file import packages, read_model
from dlcli.experiment.prepare import Prepared, placed, prepare
from dlcli.experiment.resume import reopen
from dlcli.experiment.run_directory import RUNS, RunDirectory, find_run, make_run
from dlcli.experiment.run_recipe import write_recipe
from dlcli.experiment.summary import Summary
from dlcli.experiment.warm_start import WarmStart, frozen_parameters, warm_start
from dlcli.plugins import Plugins, load_plugins
from dlcli.recipe.load import load_recipe
from dlcli.recipe.model import Recipe
from dlcli.recipe.overrides import Override
from dlcli.report.display import Display
from dlcli.report.plain import QuietDisplay
from dlcli.training.device import choose_device


def train(
    recipe: str | Path | Mapping[str, Any] | None = None,
    *,
    overrides: Sequence[str] = (),
    device: str | None = None,
    name: str | None = None,
    resume: str | Path | None = None,
    start_from: str | Path | None = None,
    freeze: str | None = None,
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
    given = {key: str(value) for key, value in flags.items() if value is not None}
    if resume is not None:
        if recipe is not None or set(given) - {"train.device"}:
            raise UsageError(
                "resuming goes on with the run's own recipe: give neither a recipe nor a name, a start or a selector; "
                "to start from a run's weights with another recipe: dlcli train RECIPE --from RUN"
            )
        execution = reopen(find_run(resume, Path(runs)), [*overrides, *_as_overrides(given)], plugins)
    else:
        execution = _begin(recipe, [*overrides, *_as_overrides(given)], Path(runs), plugins)
    return execute(execution, display or QuietDisplay(), plugins)


def _as_overrides(flags: Mapping[str, str]) -> list[Override]:
    return [Override(key, tuple(key.split(".")), value) for key, value in flags.items()]


def _begin(
    source: str | Path | Mapping[str, Any] | None, overrides: Sequence[str | Override], runs: Path, plugins: Plugins
) -> Execution:
    if source is None:
        raise UsageError("there is nothing to train: give a recipe, or a run to resume")
    recipe = load_recipe(source if isinstance(source, Mapping) else Path(source), plugins.registry, overrides)
    choose_device(recipe.train.device)
    check_extras(recipe)
    with placed(source):
        prepared = prepare(recipe, plugins.registry)
    start: WarmStart | None = None
    notes: list[str] = []
    if recipe.train.start_from is not None:
        folder = Path.cwd() if isinstance(source, Mapping) else Path(source).parent
        beside = folder / recipe.train.start_from
        earlier = find_run(beside if beside.exists() else recipe.train.start_from, runs)
        start = warm_start(prepared.member, read_model(earlier.model, plugins))
        prepared = _changed(prepared, initial_state=start.state, start_from=str(earlier.path.resolve()))
        notes = [f"started from {earlier.path}: {len(start.state)} tensors taken", *start.mismatches]
    if recipe.train.freeze is not None:
        prepared = _changed(prepared, frozen=frozen_parameters(prepared.member, recipe.train.freeze))

    def fill(run: RunDirectory) -> dict[str, Any]:
        if start is not None:
            with atomic.storage_errors(run.start):
                save_file(dict(start.state), run.start)
        return write_start(run, prepared, plugins)

    run, table = make_run(recipe.name, fill, runs)
    return Execution(run, prepared, table, resume=False, notes=tuple(notes))


def _changed(prepared: Prepared, *, start_from: str | None = None, **member: Any) -> Prepared:
    recipe = prepared.recipe
    if start_from is not None:
        recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"start_from": start_from})})
    return replace(prepared, recipe=recipe, member=replace(prepared.member, **member))


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
    recipe, member = prepared.recipe, prepared.member
    table = write_recipe(run, recipe, plugins.registry)
    components = [recipe.model.architecture, recipe.train.optimizer, recipe.train.schedule, member.loss]
    components += [*member.metrics.values(), *member.regularizers, *recipe.data.preprocess]
    run.update(
        command="train",
        name=recipe.name,
        status="running",
        started=now(),
        finished=None,
        seed=recipe.seed,
        task=str(prepared.dataset.task),
        monitor=member.monitor,
        direction=member.direction,
        data={"path": str(Path(recipe.data.path).resolve()), "fingerprint": prepared.dataset.fingerprint},
        versions=versions(),
        packages=packages(components, plugins),
        git=git_state(),
        recipe=table,
    )
    return table
