"""The search as Optuna's own tools see it: one study a stage in `search.journal`, completed from the populations."""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from dlcli.contracts.search import Space
from dlcli.search.journal import Journal
from dlcli.search.parameters import Parameters
from dlcli.search.replay import FORMAT, MARK, TRIAL, Mirrored, Operation, State, Study
from dlcli.search.search_file import SearchPlan
from dlcli.search.state import SearchState
from dlcli.search.trials import Trial

_STATES = {"finished": State.COMPLETE, "pruned": State.PRUNED, "failed": State.FAIL}


class Mirror:
    """Keeps a journal in step with the populations; whoever comes next completes what a kill cut short.

    Args:
        journal: The journal.
        plan: What the search is.
    """

    def __init__(self, journal: Journal, plan: SearchPlan) -> None:
        self._journal = journal
        self._plan = plan
        self._parameters: dict[int, Parameters] = {}
        self._complete: set[int] = set()
        self._stages: dict[int, int] = {}
        self._seen = journal.replay

    def add_space(self, stage: int, space: Space) -> None:
        """Say what a stage searches, before any of its trials is written."""
        self._parameters[stage] = Parameters(space)

    def complete(self, state: SearchState) -> None:
        """Write what the journal lacks of all trials, in one batch.

        Args:
            state: The search, as its populations say.

        Raises:
            DataError: The journal is none of Optuna 5, or damaged.
            StorageError: The journal could not be written; the next call writes what is missing.
        """
        with self._journal.opened():
            if self._seen is not self._journal.replay:  # somebody moved the file away: it is written anew
                self._seen = self._journal.replay
                self._complete.clear()
            todo = [trial for number, trial in sorted(state.trials.items()) if number not in self._complete]
            self._stages.update((trial.number, trial.stage) for trial in todo)
            self._journal.append(self._studies(todo))
            self._journal.append(self._new_trials(todo))
            operations = []
            for trial in todo:
                number = self._study(trial.stage).trials[trial.number]
                operations += _changes(number, self._journal.replay.trials[number], trial, self._plan.folds)
            self._journal.append(operations)
        self._complete.update(trial.number for trial in todo if trial.ended is not None)

    def report(self, values: Mapping[int, Mapping[int, float]]) -> None:
        """Write intermediate values of running trials, where there is a single validation split.

        Args:
            values: The monitored value by epoch, by trial.

        Raises:
            DataError: The journal is none of Optuna 5, or damaged.
            StorageError: The journal could not be written.
        """
        with self._journal.opened():
            operations = []
            for trial, by_epoch in values.items():
                study = self._journal.replay.studies.get(self._name(self._stages[trial]))
                if study is not None and trial in study.trials:
                    number = study.trials[trial]
                    operations += _intermediate(number, self._journal.replay.trials[number], by_epoch.items())
            self._journal.append(operations)

    def _name(self, stage: int) -> str:
        return f"{self._plan.run}/stage-{stage}"

    def _study(self, stage: int) -> Study:
        return self._journal.replay.studies[self._name(stage)]

    def _studies(self, trials: Iterable[Trial]) -> list[dict[str, Any]]:
        operations: list[dict[str, Any]] = []
        studies = self._journal.replay.studies
        count = self._journal.replay.study_count
        for stage in sorted({trial.stage for trial in trials}):
            known = studies.get(self._name(stage))
            number = count if known is None else known.number
            if known is None:
                count += 1
                direction = 1 if self._plan.direction == "min" else 2
                operations.append(
                    {"op_code": Operation.CREATE_STUDY, "study_name": self._name(stage), "directions": [direction]}
                )
            for kind, field, attributes in (
                (Operation.STUDY_SYSTEM_ATTRIBUTE, "system_attr", {"study:metric_names": [self._plan.monitor]}),
                (Operation.STUDY_USER_ATTRIBUTE, "user_attr", {MARK: FORMAT}),
                (Operation.STUDY_USER_ATTRIBUTE, "user_attr", {"epochs": self._plan.stage_epochs[stage - 1]}),
            ):
                if known is None or not known.attributes >= attributes.keys():
                    operations.append({"op_code": kind, "study_id": number, field: attributes})
        return operations

    def _new_trials(self, trials: Iterable[Trial]) -> list[dict[str, Any]]:
        operations = []
        for trial in trials:
            study = self._study(trial.stage)
            if trial.number not in study.trials:
                operations.append(
                    {
                        "op_code": Operation.CREATE_TRIAL,
                        "study_id": study.number,
                        "datetime_start": _time(trial.planned),
                        "state": State.RUNNING,
                        "value": None,
                        "values": None,
                        **self._parameters[trial.stage].fields(trial.setting),
                        "user_attrs": {TRIAL: trial.number},
                        "system_attrs": {},
                        "intermediate_values": {},
                    }
                )
        return operations


def _changes(number: int, mirrored: Mirrored, trial: Trial, folds: int) -> list[dict[str, Any]]:
    if mirrored.ended:
        return []
    steps = trial.reports if folds == 1 else dict(enumerate(trial.fold_scores))
    operations = _intermediate(number, mirrored, steps.items())
    if trial.ended is None:
        return operations
    attributes = {
        "population": trial.population,
        "fold_scores": list(trial.fold_scores) if folds > 1 else None,
        "spread": trial.spread,
        "reason": trial.reason,
        "epochs": trial.epochs,
        "best_epoch": trial.best_epoch,
        "seconds": trial.seconds,
    }
    operations += [
        {"op_code": Operation.USER_ATTRIBUTE, "trial_id": number, "user_attr": {name: value}}
        for name, value in attributes.items()
        if value is not None and name not in mirrored.attributes
    ]
    operations.append(
        {
            "op_code": Operation.STATE,
            "trial_id": number,
            "state": _STATES[trial.state],
            "values": None if trial.score is None else [trial.score],
            "datetime_complete": _time(trial.ended),
        }
    )
    return operations


def _intermediate(number: int, mirrored: Mirrored, steps: Iterable[tuple[int, float]]) -> list[dict[str, Any]]:
    return [
        {
            "op_code": Operation.INTERMEDIATE,
            "trial_id": number,
            "step": step,
            "intermediate_value": value if math.isfinite(value) else math.nan,
        }
        for step, value in steps
        if step not in mirrored.steps
    ]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
