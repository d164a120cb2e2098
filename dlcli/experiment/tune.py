"""The use case behind `dlcli tune`: a recipe with a space becomes a search, whose best setting becomes a model."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from dlcli.contracts.search import Setting
from dlcli.errors import DlcliError, Interrupted, UsageError
from dlcli.experiment.environment import now
from dlcli.experiment.interruption import Interruption
from dlcli.experiment.run_directory import RUNS, RunDirectory, owner
from dlcli.experiment.train import DEFAULT_FOLDS
from dlcli.experiment.tuning.close import close_search
from dlcli.experiment.tuning.final import tidy
from dlcli.experiment.tuning.run import Tuning, check_same, checked_section, open_run, ready, update_run
from dlcli.experiment.tuning.shown import TuneWatch
from dlcli.experiment.tuning.trials import TrialRunner
from dlcli.plugins import Plugins, load_plugins
from dlcli.recipe.load import load_recipe
from dlcli.recipe.overrides import Override
from dlcli.recipe.space import read_space
from dlcli.report.tune_display import TuneDisplay
from dlcli.report.tune_outcome import TuneOutcome
from dlcli.report.tune_plain import QuietTuneDisplay
from dlcli.search.narrowing import narrow
from dlcli.search.processes import follow_parent, start_workers
from dlcli.search.sampling import draw
from dlcli.search.state import SearchState
from dlcli.search.trials import Population, TrialOutcome
from dlcli.search.worker import work


def tune(
    recipe: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    trials: int | None = None,
    minutes: float | None = None,
    kfold: int | bool | None = None,
    stages: int | None = None,
    method: str | None = None,
    workers: int = 1,
    new: bool = False,
    engine: str | None = None,
    device: str | None = None,
    name: str | None = None,
    runs: str | Path = RUNS,
    display: TuneDisplay | None = None,
    plugins: Plugins | None = None,
) -> TuneOutcome:
    """Search a recipe's `[tune.space]`, or go on with or join the search of it that there is.

    Args:
        recipe: A recipe file, or a recipe as a mapping whose paths are relative to the current folder.
        overrides: `key=value` texts, as after `--set`.
        trials: Settings to try in all; wins over `tune.trials`.
        minutes: Time for the whole search; wins over `tune.time_minutes`.
        kfold: Folds that a setting is scored on, ≥ 2; True for `tune.kfold`, or 5; wins over `tune.kfold`.
        stages: Searches from short training to full; wins over `tune.stages`.
        method: Search method; wins over `tune.method`.
        workers: Local processes, this one included, ≥ 1.
        new: Whether to begin another search, whatever there is.
        engine: `auto`, `loop` or `vectorized`; wins over `train.engine`.
        device: Where to compute; wins over `train.device`.
        name: Name of the run's folder; wins over `name`.
        runs: Folder of all runs.
        display: Shows progress; nothing is shown where None.
        plugins: Loaded plugins; loaded here where None.

    Returns:
        What came of the search.

    Raises:
        UsageError: There is nothing to search, or the search there is has another recipe.
        RecipeError: The recipe is wrong; all problems at once.
        DataError: The dataset cannot be used.
        TrainingError: Trials keep failing.
    """
    if workers < 1:
        raise UsageError(f"workers must be at least 1, got {workers}")
    plugins = plugins or load_plugins()
    if kfold is True:
        kfold = _recipe_folds(recipe, overrides, plugins)
    if method is not None and _is_recipes_method(method, recipe, overrides, plugins):
        method = None  # the recipe names it too, with parameters of its own
    flags = {
        "tune.trials": trials,
        "tune.time_minutes": None if minutes is None else float(minutes),
        "tune.kfold": kfold,
        "tune.stages": stages,
        "tune.method": method,
        "train.engine": engine,
        "train.device": device,
        "name": name,
    }
    given = [Override(key, tuple(key.split(".")), value) for key, value in flags.items() if value is not None]
    tuning = ready(recipe, [*overrides, *given], plugins)
    run, joined = open_run(tuning, Path(runs), new=new, plugins=plugins)
    if workers > 1:
        torch.set_num_threads(1)
    return _Session(tuning, run, display or QuietTuneDisplay(), plugins).lead(workers, joined)


def join(run: str | Path) -> None:
    """Work on a search that another process leads, until there is nothing left to do.

    Args:
        run: Its run directory.
    """
    follow_parent()
    torch.set_num_threads(1)
    plugins = load_plugins()
    directory = RunDirectory(Path(run))
    tuning = ready(directory.recipe, (), plugins)
    check_same(directory, tuning)
    _Session(tuning, directory, QuietTuneDisplay(), plugins).follow()


def show_space(
    recipe: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    count: int = 10,
    plugins: Plugins | None = None,
) -> list[Setting]:
    """Draw settings from a recipe's `[tune.space]` without training.

    Args:
        recipe: The recipe.
        overrides: `key=value` texts, as after `--set`.
        count: How many, ≥ 1.
        plugins: Loaded plugins; loaded here where None.

    Returns:
        The first settings that the method `random` would try.

    Raises:
        UsageError: There is no space.
        RecipeError: The recipe is wrong; all problems at once.
    """
    plugins = plugins or load_plugins()
    found = load_recipe(recipe if isinstance(recipe, Mapping) else Path(recipe), plugins.registry, overrides)
    checked_section(found)
    return draw(read_space(found, plugins.registry), found.seed, count)


def _is_recipes_method(
    name: str, recipe: str | Path | Mapping[str, Any], overrides: Sequence[str], plugins: Plugins
) -> bool:
    found = load_recipe(recipe if isinstance(recipe, Mapping) else Path(recipe), plugins.registry, overrides)
    return found.tune is not None and name in (found.tune.method.name, plugins.registry.label(found.tune.method))


def _recipe_folds(recipe: str | Path | Mapping[str, Any], overrides: Sequence[str], plugins: Plugins) -> int:
    found = load_recipe(recipe if isinstance(recipe, Mapping) else Path(recipe), plugins.registry, overrides)
    return (found.tune.kfold if found.tune else None) or DEFAULT_FOLDS


class _Session:
    """One process's part in a search."""

    def __init__(self, tuning: Tuning, run: RunDirectory, display: TuneDisplay, plugins: Plugins) -> None:
        self._tuning, self._run, self._display, self._plugins = tuning, run, display, plugins

    def lead(self, workers: int, joined: bool) -> TuneOutcome:
        """Work with further processes, and leave the run complete."""
        run, display, lease = self._run, self._display, self._tuning.plan.lease_seconds
        update_run(
            run, lease, status="running", finished=None, error=None, device=str(self._tuning.trials.device), **owner()
        )
        with display, Interruption() as interruption:
            watch = _Watch(run.path, self._tuning, display, interruption)
            if joined:
                watch.note(f"goes on with {run.path}")
            runner = TrialRunner(self._tuning.trials, tick=watch.tick, note=watch.note)
            command = [sys.executable, "-m", "dlcli", "tune", "--join", str(run.path)]
            try:
                helpers = start_workers(workers, command, run.path) if workers > 1 else None
                with helpers or nullcontext():
                    state = self._work(runner, watch, helpers)
                    for trouble in helpers.wait() if helpers else ():
                        watch.note(trouble)
                outcome = close_search(self._tuning, run, state, runner, watch, self._plugins)
            except (Interrupted, KeyboardInterrupt):
                update_run(run, lease, status="interrupted", finished=now())
                watch.count_time()
                outcome = TuneOutcome(watch.view, "interrupted", go_on="the same command", notes=tuple(watch.notes))
            except DlcliError as error:
                update_run(run, lease, status="failed", finished=now(), error=str(error))
                raise
            display.finished()
        return outcome

    def follow(self) -> None:
        """Work until nothing is left to do."""
        with Interruption() as interruption:
            watch = _Watch(self._run.path, self._tuning, self._display, interruption)
            self._work(TrialRunner(self._tuning.trials, tick=watch.tick, note=watch.note), watch, None)

    def _work(self, runner: TrialRunner, watch: "_Watch", helpers: Any) -> SearchState:
        method = self._tuning.tune.method
        return work(self._run.path, run=runner, method=method, narrow=narrow, watch=watch, helpers=helpers)


class _Watch(TuneWatch):
    """Also tidies up behind populations."""

    def __init__(self, run: Path, tuning: Tuning, display: TuneDisplay, interruption: Interruption) -> None:
        super().__init__(run, tuning.recipe.name, display, interruption)
        self._keep = tuning.tune.keep
        self._tidied: set[int] = set()

    def population_finished(self, population: Population, outcomes: Sequence[TrialOutcome]) -> None:
        super().population_finished(population, outcomes)
        if self.state is not None:
            tidy(self.state, self._keep, self._tidied)
