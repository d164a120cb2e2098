"""Runs populations of trials: what the search room asks for, done with `fit`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from dlcli import atomic
from dlcli.contracts.history import EpochRecord, History
from dlcli.contracts.member import Engine, Halving, Keep, Member, Result
from dlcli.contracts.preprocessor import Preprocessing
from dlcli.contracts.search import Setting
from dlcli.data.preprocessing import fit_preprocessing
from dlcli.data.streamed_batches import make_batches
from dlcli.errors import RecipeError, TrainingError
from dlcli.experiment.members import make_member, recipe_preprocess
from dlcli.experiment.rehearsal import check_member
from dlcli.experiment.tuning.problem import Trials, identity_of
from dlcli.recipe.model import Recipe
from dlcli.search.trials import Population, TrialOutcome
from dlcli.search.watch import Report
from dlcli.training.evaluation import evaluate
from dlcli.training.fit import fit
from dlcli.training.network import build_network

TRAINING, STATES = "training", "states"


def state_file(folder: Path, trial: int, monitor: str, score: float) -> Path:
    """Return where a trial's weights on a fold are kept, in its population's folder."""
    return folder / STATES / f"trial-{trial}-{monitor}-{score:.4f}.safetensors"


class TrialRunner:
    """Runs populations; implements `dlcli.search.watch.RunPopulation`.

    Args:
        problem: What settings are tried on.
        tick: Called after every step.
        note: Told what the user should know.
    """

    def __init__(self, problem: Trials, *, tick: Any, note: Any) -> None:
        self._problem = problem
        self._tick, self._note = tick, note
        learnt = [rows.training for rows in problem.rounds]
        self.batches = make_batches(problem.dataset, problem.device, learnt, problem.recipe.seed)
        self._fitted: dict[tuple[int, str], Preprocessing] = {}
        self._checked: set[tuple[str, str, int]] = set()

    def __call__(self, population: Population, report: Report) -> list[TrialOutcome]:
        """Train a population's trials on its fold.

        Args:
            population: Which settings, on which fold, for how long.
            report: Is told of every epoch; says when to stop.

        Returns:
            One outcome for each trial.

        Raises:
            Interrupted: The user stopped the search; the state is saved.
        """
        members: dict[int, Member] = {}
        outcomes: list[TrialOutcome] = []
        for number, setting in population.trials:
            try:
                members[number] = self.member(number, setting, population)
            except RecipeError as error:
                reason = "; ".join(f"{problem.key}: {problem.message}" for problem in error.problems)
                outcomes.append(TrialOutcome(number, None, 0, 0, reason=reason))
        if members:
            results = self._train(list(members.values()), population, report)
            outcomes += [
                self._outcome(number, member, result, population)
                for (number, member), result in zip(members.items(), results, strict=True)
            ]
        return outcomes

    def member(self, number: int, setting: Setting, population: Population) -> Member:
        """Make the network of a trial.

        Args:
            number: The trial's number.
            setting: Its setting.
            population: Its fold and its epochs.

        Returns:
            The member; its schedule is laid out for the whole training, however short the population's is.

        Raises:
            RecipeError: The values do not go together, or the architecture cannot be built.
        """
        problem = self._problem
        recipe = problem.settled(setting)
        rows = problem.rounds[population.fold]
        identity = identity_of(number, population.fold if len(problem.rounds) > 1 else None)
        member = make_member(
            recipe,
            problem.dataset,
            identity,
            rows.training,
            rows.validation,
            preprocessing=self._preprocessing(recipe, population.fold),
        )
        self._check(member)
        full = population.epochs >= problem.recipe.train.epochs
        return replace(
            member,
            epochs=recipe.train.epochs if full else min(population.epochs, recipe.train.epochs),
            horizon_epochs=recipe.train.horizon or recipe.train.epochs,
            keep=Keep(best=0),
        )

    def score(self, member: Member, state: Mapping[str, Tensor], rows: Tensor) -> float:
        """Return the monitored value of a trained network on rows.

        Args:
            member: Whose network it is.
            state: Its `state_dict`.
            rows: Rows of the dataset, int64.

        Returns:
            The value.
        """
        network = build_network(member, self._problem.device)
        network.load_state_dict(dict(state))
        figures = evaluate(
            network,
            self.batches.evaluation(member, rows),
            task=member.io.task,
            loss=member.loss,
            metrics=member.metrics,
        )
        return figures[self._problem.monitor.removeprefix("val_")]

    def _check(self, member: Member) -> None:
        """Check an architecture once for all trials that have its structure: they differ in numbers alone."""
        key = (member.architecture.stack_key(), repr(member.io), member.batch_size)
        if key not in self._checked:
            check_member(member)
            self._checked.add(key)

    def _preprocessing(self, recipe: Recipe, fold: int) -> Preprocessing:
        """Return what is fitted on a fold's training rows; the same objects for all trials, so that they share rows."""
        preprocess = recipe_preprocess(recipe)
        key = (fold, repr(preprocess))
        if key not in self._fitted:
            rows = self._problem.rounds[fold].training
            self._fitted[key] = fit_preprocessing(self._problem.dataset, preprocess, rows)
        return self._fitted[key]

    def _train(self, members: Sequence[Member], population: Population, report: Report) -> list[Result]:
        folder = population.folder / TRAINING
        halving = Halving(population.rungs) if population.rungs else None
        try:
            return self._fit(members, folder, report, self._problem.recipe.train.engine, halving)
        except TrainingError as error:
            if len(members) == 1:
                return [_failed(members[0], str(error))]
            # Memory ran out for all together: each is tried alone, so that only those fail that are too large.
            self._note(f"population {population.number}: {error}; its trials are tried one by one")
        results = []
        for member in members:
            try:
                results += self._fit([member], folder / member.identity, report, "loop", None)
            except TrainingError as error:
                results.append(_failed(member, str(error)))
        return results

    def _fit(
        self, members: Sequence[Member], folder: Path, report: Report, engine: Engine, halving: Halving | None
    ) -> list[Result]:
        with atomic.storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        watch = _Watch(report, self._tick, self._note)
        results = fit(
            members,
            self.batches,
            directory=folder,
            device=self._problem.device,
            watch=watch,
            checkpoint_seconds=self._problem.recipe.train.checkpoint_seconds,
            resume=True,
            engine=engine,
            halving=halving,
        )
        for member, result in zip(members, results, strict=True):
            watch.catch_up(member, result.history)
        return results

    def _outcome(self, number: int, member: Member, result: Result, population: Population) -> TrialOutcome:
        epochs, best = result.epochs, result.selected_epoch
        if result.failure is not None:
            return TrialOutcome(number, None, epochs, best, result.seconds, reason=result.failure)
        if result.pruned:
            reached = result.history.scores[result.best_epoch - 1]
            return TrialOutcome(number, reached, epochs, best, result.seconds, pruned=True, reason=result.stopped)
        held_out = self._problem.rounds[population.fold].held_out
        score = (
            result.history.scores[result.selected_epoch - 1]
            if held_out is None
            else self.score(member, result.state, held_out)
        )
        if math.isfinite(score):
            path = state_file(population.folder, number, self._problem.monitor, score)
            write_state(path, result.state)
        return TrialOutcome(number, score, epochs, best, result.seconds)


def write_state(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write a network's tensors, whole or not at all."""
    with atomic.storage_errors(path):
        path.parent.mkdir(exist_ok=True)
    atomic.write_file(path, lambda temporary: save_file({name: t.contiguous() for name, t in state.items()}, temporary))


def _failed(member: Member, reason: str) -> Result:
    history = History((), member.monitor, member.direction)
    return Result(member.identity, {}, 0, 0, history, None, 0.0, failure=reason)


class _Watch:
    """Passes on to the search what training says, and the other way whether to stop."""

    def __init__(self, report: Report, tick: Any, note: Any) -> None:
        self._report, self._tick = report, tick
        self._told: dict[str, int] = {}
        self.interrupted = report.interrupted
        self.note = note

    def epoch_started(self, member: Member, epoch: int, steps: int) -> None:
        pass

    def step_finished(self, step: int, loss: Tensor, learning_rate: float) -> None:
        self._tick()

    def epoch_finished(self, member: Member, record: EpochRecord, history: History) -> None:
        self.catch_up(member, history)

    def catch_up(self, member: Member, history: History) -> None:
        """Report all epochs that were not: also those before an interruption."""
        told = self._told.get(member.identity, 0)
        for record in history.records[told:]:
            self._report(int(member.identity.split("-")[1]), record.epoch, record.values[history.monitor])
        self._told[member.identity] = len(history.records)
