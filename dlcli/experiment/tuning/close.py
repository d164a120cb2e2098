"""Closes a search: final models, models of the best trials, importances, pictures, `best.toml`, `run.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from dlcli import atomic
from dlcli.contracts.history import EpochRecord, History
from dlcli.contracts.member import Member
from dlcli.errors import TrainingError
from dlcli.experiment.environment import now
from dlcli.experiment.models.model_folder import trained_part, write_part
from dlcli.experiment.run_directory import RunDirectory
from dlcli.experiment.run_recipe import write_recipe
from dlcli.experiment.summary import finite
from dlcli.experiment.tuning.final import (
    FinalModels,
    Refitted,
    describe_member,
    final_recipe,
    keep_models,
    scores_of,
    tidy,
)
from dlcli.experiment.tuning.run import Tuning, update_run
from dlcli.experiment.tuning.shown import TuneWatch
from dlcli.experiment.tuning.trials import TrialRunner
from dlcli.plugins import Plugins
from dlcli.recipe.space import read_limits, space_line
from dlcli.report.tune_history_svg import history_svg
from dlcli.report.tune_outcome import BorderWarning, ModelScores, TuneOutcome
from dlcli.report.tune_parameters_svg import parameters_svg
from dlcli.report.tune_view import TuneView
from dlcli.search.border import find_borders
from dlcli.search.claims import FileClock
from dlcli.search.heart import Heart
from dlcli.search.importances import Importances, importances
from dlcli.search.state import SearchState
from dlcli.search.trials import Trial

BEST = "best.toml"


def close_search(
    tuning: Tuning, run: RunDirectory, state: SearchState, runner: TrialRunner, watch: TuneWatch, plugins: Plugins
) -> TuneOutcome:
    """Leave a search complete; where several processes lead it, the first one does, and the others read what it left.

    Args:
        tuning: The search.
        run: Its run directory.
        state: The search as it ended.
        runner: Makes and scores networks.
        watch: Is told how it goes.
        plugins: Names the packages.

    Returns:
        What came of it.

    Raises:
        TrainingError: The best setting diverged when it was retrained.
        Interrupted: The user stopped it; the same command goes on.
    """
    lease = tuning.plan.lease_seconds
    with Heart(FileClock(run.path / "search.alive"), lease) as heart, heart.lock(run.path / "final.lock"):
        facts = run.read()
        done = facts.get("closed") == len(state.trials) and run.model.exists()
        if not done:
            _train_and_write(tuning, run, state, runner, watch, plugins)
            facts = run.read()
        elif facts.get("status") != "finished":
            update_run(run, lease, status="finished", finished=now(), error=None)
        return _outcome(tuning, run, state, watch, facts)


def _train_and_write(
    tuning: Tuning, run: RunDirectory, state: SearchState, runner: TrialRunner, watch: TuneWatch, plugins: Plugins
) -> None:
    trials, best = tuning.trials, state.ranked()[0]
    final = FinalModels(trials, runner, run, _FinalWatch(watch))
    watch.note("retrains the best setting on training and validation rows")
    folder = run.path / "final" / f"trial-{best.number}"
    recipe = final_recipe(trials, best.setting, best.best_epoch or trials.recipe.train.epochs)
    tuned = final.refit(recipe, folder)
    if isinstance(tuned, str):
        raise TrainingError(f"the best setting (trial {best.number}) failed when it was retrained on all rows: {tuned}")
    untuned = final.untuned(run.path / "untuned")
    if isinstance(untuned, str):
        watch.note(f"the recipe as it was cannot be compared: {untuned}")
    kept = keep_models(trials, runner, run, state, state.ranked()[: tuning.tune.keep])
    tidy(state, 0, set())
    description = describe_member(trials, tuned.member)
    write_part(run.model, trained_part(description, tuned.state, tuned.member.preprocessing, plugins))
    write_recipe(
        run,
        tuned.recipe,
        plugins.registry,
        file=BEST,
        comment=f"Best setting of a search, trial {best.number}: dlcli train takes it, and gives the model in model/.",
    )
    for name in ("final", "untuned"):
        atomic.remove_folder(run.path / name)
    scores = scores_of(best.fold_scores, tuned)
    update_run(
        run,
        tuning.plan.lease_seconds,
        status="finished",
        finished=now(),
        error=None,
        closed=len(state.trials),
        seconds=sum(trial.seconds for trial in state.trials.values()),
        epochs=tuned.recipe.train.epochs,
        best_epoch=tuned.recipe.train.epochs,
        best_score=best.score,
        best_trial=best.number,
        trained_on=["train", "val"],
        folds=tuning.plan.folds,
        population={"kind": "trials", "count": len(state.trials), "score_spread": best.spread},
        members=kept,
        tuned=_table(scores),
        untuned=None if isinstance(untuned, str) else _table(untuned[0]),
        importances=vars(_importances(tuning, run, best.stage)),
        notes=list(watch.notes),
        **_figures(tuned),
    )


def _figures(tuned: Refitted) -> dict[str, Any]:
    return {
        split: finite(dict(tuned.figures[split])) if split in tuned.figures else None for split in ("train", "test")
    }


def _table(scores: ModelScores) -> dict[str, Any]:
    return {**vars(scores), "fold_scores": list(scores.fold_scores), "test": finite(dict(scores.test))}


def _scores(table: Mapping[str, Any] | None) -> ModelScores | None:
    if table is None:
        return None
    return ModelScores(**{**table, "fold_scores": tuple(table["fold_scores"])})


def _importances(tuning: Tuning, run: RunDirectory, stage: int) -> Importances:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    path = str((run.path / "search.journal").resolve())
    storage = JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
    return importances(optuna.load_study(study_name=f"{tuning.plan.run}/stage-{stage}", storage=storage))


def _outcome(
    tuning: Tuning, run: RunDirectory, state: SearchState, watch: TuneWatch, facts: Mapping[str, Any]
) -> TuneOutcome:
    watch.count_time()
    best = state.ranked()[0]
    found = facts["importances"]
    pictures = _draw(run, watch, found["shares"])
    return TuneOutcome(
        search=watch.view,
        status="finished",
        stopped=_stopped(tuning, watch.view),
        tuned=_scores(facts["tuned"]),
        untuned=_scores(facts["untuned"]),
        importances=found["shares"],
        importances_left_out=found["left_out"],
        importances_reason=found["reason"],
        borders=_borders(tuning, best),
        best_recipe=run.path / BEST,
        pictures=pictures,
        notes=tuple(watch.notes),
    )


def _stopped(tuning: Tuning, search: TuneView) -> str | None:
    """Say why a search ended before it had tried as many settings as it may."""
    tried, budget = len(search.trials), search.trial_budget
    if budget is None or tried >= budget:
        return None
    after = f"after {tried} of {budget} trials"
    if search.seconds_budget is not None and search.seconds >= search.seconds_budget:
        return f"its time is over, {after}"
    return f"{tuning.tune.method.name} has nothing else to try, {after}"


def _draw(run: RunDirectory, watch: TuneWatch, shares: Mapping[str, float]) -> tuple[Path, ...]:
    pictures = {"history.svg": history_svg(watch.view), "parameters.svg": parameters_svg(watch.view, shares)}
    for name, text in pictures.items():
        atomic.write_text(run.path / name, text)
    return tuple(run.path / name for name in pictures)


def _borders(tuning: Tuning, best: Trial) -> tuple[BorderWarning, ...]:
    limits = read_limits(tuning.recipe, tuning.trials.plugins.registry)
    return tuple(
        BorderWarning(
            border.key,
            border.value,
            border.end,
            border.distribution.low,
            border.distribution.high,
            space_line(border.key, border.widened),
        )
        for border in find_borders(tuning.space, best.setting, limits)
    )


class _FinalWatch:
    """Passes on whether to end, and redraws; final trainings are not shown epoch by epoch."""

    def __init__(self, watch: TuneWatch) -> None:
        self.interrupted, self.note, self._tick = watch.interrupted, watch.note, watch.tick

    def epoch_started(self, member: Member, epoch: int, steps: int) -> None:
        pass

    def step_finished(self, step: int, loss: Tensor, learning_rate: float) -> None:
        self._tick()

    def epoch_finished(self, member: Member, record: EpochRecord, history: History) -> None:
        pass
