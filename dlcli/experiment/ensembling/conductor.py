"""Carries out a strategy's plan: round after round its members are trained, and it is sent what came of them."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from dlcli.contracts.batch import Batches
from dlcli.contracts.ensemble import Plan
from dlcli.contracts.ensemble_members import Combination, MemberResult, MemberSpecification, Outcome, SingleMember
from dlcli.contracts.member import Engine, Member, Watch
from dlcli.errors import DlcliError, PluginError, TrainingError, UsageError
from dlcli.experiment.ensembling.context import StrategyContext
from dlcli.experiment.ensembling.members import MemberRoom
from dlcli.experiment.ensembling.outputs import MemberOutputs, wiring_of
from dlcli.experiment.ensembling.store import MemberStore, Training
from dlcli.experiment.ensembling.structure import digest, structure_of
from dlcli.experiment.models.outputs import outputs_on
from dlcli.report.ensemble_display import EnsembleDisplay
from dlcli.training.averaging import reestimate_batch_norm
from dlcli.training.evaluation import evaluate
from dlcli.training.fit import fit
from dlcli.training.network import build_network
from dlcli.training.population import read_companions

FOLDER_NAME = re.compile(r"\w[\w-]*", re.ASCII)
"""What the identity of a member may be."""


@dataclass(frozen=True)
class TrainedState:
    """A kept state that was trained in this run.

    Args:
        member: The member that it is of.
        training: What became of its training.
        result: What the strategy was told of it.
    """

    member: Member
    training: Training
    result: MemberResult


@dataclass(frozen=True)
class _End:
    """The end of a plan.

    Args:
        outcome: What it came to.
    """

    outcome: Outcome


class Conductor:
    """Trains what a strategy asks for.

    Args:
        room: Makes members.
        store: Keeps them on disk.
        batches: The dataset as batches.
        directory: The run's directory.
        device: Where to compute.
        watch: Is told how training goes.
        display: Shows it.
        checkpoint_seconds: Least time between two checkpoints, in seconds.
        engine: How members train.
        resume: Whether to go on from checkpoints, where there are any.
        outputs: Gets every member's outputs.
    """

    def __init__(
        self,
        room: MemberRoom,
        store: MemberStore,
        batches: Batches,
        *,
        directory: Path,
        device: torch.device,
        watch: Watch,
        display: EnsembleDisplay,
        checkpoint_seconds: float,
        engine: Engine,
        resume: bool,
        outputs: MemberOutputs,
    ) -> None:
        self._room, self._store, self._batches = room, store, batches
        self._directory, self._device, self._watch, self._display = directory, device, watch, display
        self._checkpoint_seconds, self._engine, self._resume = checkpoint_seconds, engine, resume
        self._outputs = outputs
        self._rounds = 0
        self._plan: Plan | None = None
        self._asked: Sequence[MemberSpecification] | _End | None = None
        self.states: dict[str, TrainedState] = {}
        self.trainings: list[Training] = []

    def run(self, context: StrategyContext) -> Outcome:
        """Carry out a plan to its end.

        Args:
            context: What the strategy may know.

        Returns:
            The outcome.

        Raises:
            UsageError: The strategy cannot do it with these members or this data.
            PluginError: It asked for something that makes no sense.
            TrainingError: Every member of a round failed.
            Interrupted: The user stopped it; the state is saved.
        """
        if self._asked is None:
            self._asked = self._answer(context, partial(next, self._plan_of(context)))
        while not isinstance(self._asked, _End):
            results = self._train(context, self._asked)
            self._asked = self._answer(context, partial(self._plan_of(context).send, results))
        self._check_outcome(context, self._asked.outcome)
        return self._asked.outcome

    def begin(self, context: StrategyContext) -> None:
        """Ask for the first round and make its members, so that what cannot be done is told before anything is shown.

        Args:
            context: As for `run`, which goes on from there.

        Raises:
            UsageError: The strategy cannot do it with this data, or the members cannot be made.
            PluginError: It asked for something that makes no sense.
        """
        self._asked = self._answer(context, partial(next, self._plan_of(context)))
        if not isinstance(self._asked, _End):
            for specification in self._asked:
                self._room.make(specification)

    def _plan_of(self, context: StrategyContext) -> Plan:
        if self._plan is None:
            self._plan = context.strategy.plan(context)
        return self._plan

    def _answer(
        self, context: StrategyContext, ask: Callable[[], Sequence[MemberSpecification]]
    ) -> "Sequence[MemberSpecification] | _End":
        """Return what a strategy asks for next, or its outcome."""
        try:
            specifications = ask()
        except StopIteration as end:
            return _End(end.value)
        except ValueError as error:
            raise UsageError(str(error)) from error
        except DlcliError:
            raise
        except Exception as error:
            if type(context.strategy).__module__.startswith("dlcli."):
                raise
            raise PluginError(
                f"the strategy {context.strategy.name} failed ({type(error).__name__}: {error}); its package is at "
                "fault, --debug shows where"
            ) from error
        if not self._rounds:
            _check_architectures(context, specifications)
        return specifications

    def _train(
        self, context: StrategyContext, specifications: Sequence[MemberSpecification]
    ) -> tuple[MemberResult, ...]:
        self._rounds += 1
        strategy = context.strategy.name
        for spec in specifications:
            for rows in (spec.training_rows, spec.validation_rows):
                if rows is not None:
                    context.refuse_others(rows)
        names = [spec.identity for spec in specifications]
        known = {training.identity for training in self.trainings}
        if not names or len(set(names)) < len(names) or known & set(names):
            raise PluginError(
                f"the strategy {strategy} asked for the members {', '.join(names) or 'none'} in round {self._rounds}: "
                "each round needs members that were not there before"
            )
        unfit = next((name for name in names if not FOLDER_NAME.fullmatch(name)), None)
        if unfit is not None:
            raise PluginError(
                f"the strategy {strategy} asked for a member with the identity {unfit!r}, which names a folder and "
                "must be of letters, digits, - and _"
            )
        members = {spec.identity: self._room.make(spec) for spec in specifications}
        found = {name: self._store.read(name) for name in names}
        missing = [name for name in names if found[name] is None]
        if missing:
            self._display.round_started(self._rounds, missing, max(members[name].epochs for name in missing))
            # Of those that trained together some may have been written before the run was killed.
            companions = read_companions(self._directory, missing) if self._resume else frozenset(missing)
            trained = [name for name in names if name in companions]
            results = fit(
                [members[name] for name in trained],
                self._batches,
                directory=self._directory,
                device=self._device,
                watch=self._watch,
                checkpoint_seconds=self._checkpoint_seconds,
                resume=self._resume,
                engine=self._engine if len(trained) > 1 else _alone(self._engine),
            )
            kept = {spec.identity: spec.keep for spec in specifications}
            for result in results:
                name = result.identity
                if found[name] is None:
                    found[name] = self._store.write(members[name], result, kept[name])
        trainings = [training for name in names if (training := found[name]) is not None]
        self.trainings += trainings
        failed = [training for training in trainings if training.failure]
        for training in failed:
            self._watch.note(f"{training.identity} failed and is left out: {training.failure}")
        if len(failed) == len(trainings):
            raise TrainingError(
                f"all {len(failed)} members of a round failed; {failed[0].identity}: {failed[0].failure}"
            )
        return tuple(result for training in trainings for result in self._take_in(members[training.identity], training))

    def _check_outcome(self, context: StrategyContext, outcome: Outcome) -> None:
        """Refuse an outcome with members that there are not."""
        if isinstance(outcome, Combination):
            named = wiring_of(outcome).everybody
        else:
            named = (outcome.identity,) if isinstance(outcome, SingleMember) else (outcome.like,)
        unknown = [identity for identity in named if identity not in self._outputs]
        if unknown or not named:
            raise PluginError(
                f"the strategy {context.strategy.name} combines {', '.join(unknown) or 'nobody'}, which it did not "
                "have trained; its package is at fault"
            )

    def _take_in(self, member: Member, training: Training) -> list[MemberResult]:
        """Make a training's states known: to the strategy, to the outputs, to the display."""
        found = []
        key = structure_of(member)
        start = "" if member.initial_state is None else digest(member.initial_state)
        for kept in training.states:
            state = self._store.state(kept.identity)
            score = math.nan if kept.score is None else kept.score
            result = MemberResult(kept.identity, training.identity, kept.epoch, score, key, state, start)
            self.states[kept.identity] = TrainedState(member, training, result)
            self._outputs.add(kept.identity, partial(self._compute, member, state))
            self._display.member_finished(kept.identity, score)
            found.append(result)
        return found

    def _compute(self, member: Member, state: Mapping[str, Tensor], rows: Tensor, fed: Mapping[str, Tensor]) -> Tensor:
        """Return a state's outputs, without the member's offset."""
        network = build_network(member, self._device)
        network.load_state_dict(dict(state))
        own = replace(member, offset=None, fed={**member.fed, **fed})
        return outputs_on(network, own, self._batches, rows)

    def settled_weights(self, state: Mapping[str, Tensor], member: Member) -> dict[str, Tensor]:
        """Return weights with batch normalization re-estimated on the member's training rows."""
        network = build_network(member, self._device)
        network.load_state_dict(dict(state))
        own = replace(member, offset=None)
        reestimate_batch_norm(network, self._batches.evaluation(own, member.training_rows))
        return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}

    def score_of_weights(self, monitor: str, state: Mapping[str, Tensor], member: Member, rows: Tensor) -> float:
        """Return the monitored value on rows of a network with given weights."""
        network = build_network(member, self._device)
        network.load_state_dict(self.settled_weights(state, member))
        figures = evaluate(
            network,
            self._batches.evaluation(replace(member, offset=None), rows),
            task=member.io.task,
            loss=member.loss,
            metrics=member.metrics,
        )
        return figures[monitor.removeprefix("val_").removeprefix("train_")]


def _check_architectures(context: StrategyContext, specifications: Sequence[MemberSpecification]) -> None:
    """Refuse members of other architectures where the strategy would not look at them."""
    others = [kind for kind in context.architectures if kind != context.judge.architecture]
    if others and all(spec.architecture is None for spec in specifications):
        raise UsageError(
            f"{context.strategy.name} trains networks of the recipe's [model] alone, but [[ensemble.members]] lists "
            f"{others[0].name}; remove the table, set [model] to it, or take voting, bagging, boosting or stacking"
        )


def _alone(engine: Engine) -> Engine:
    """Return how a single member trains: a stack of one gains nothing, and may not be possible."""
    return "auto" if engine == "vectorized" else engine
