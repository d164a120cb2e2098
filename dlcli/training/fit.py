"""`fit`: the only way in which anything is trained."""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch

from dlcli.contracts.batch import Batches
from dlcli.contracts.member import Engine, Halving, Member, Result, Watch
from dlcli.errors import Interrupted, UsageError
from dlcli.training.determinism import determinism
from dlcli.training.history_file import HistoryFile
from dlcli.training.loop import Loop
from dlcli.training.out_of_memory import out_of_memory_told
from dlcli.training.population import make_plan, read_plan, structure, write_plan
from dlcli.training.progress import Progress
from dlcli.training.stack import Stack
from dlcli.training.stacked_network import CannotStackError
from dlcli.training.surroundings import StopRequested, Surroundings
from dlcli.training.switches import switch_notes

Unit = Loop | Stack
"""What trains one member, or several together."""


def fit(
    members: Sequence[Member],
    batches: Batches,
    *,
    directory: Path,
    device: torch.device,
    watch: Watch,
    checkpoint_seconds: float,
    resume: bool,
    engine: Engine = "auto",
    halving: Halving | None = None,
) -> list[Result]:
    """Train every member of a population.

    Args:
        members: Who; identities differ. The order changes nothing but who stands beside whom in a stack.
        batches: The shared dataset as batches.
        directory: The run's directory.
        device: Where to train.
        watch: Is told how it goes.
        checkpoint_seconds: Least time between two checkpoints for resuming, in seconds, ≥ 0.
        resume: Whether to go on from the directory's checkpoints, where there are any.
        engine: `vectorized` trains members of one structure as a stack, `loop` one after the other, `auto` as a stack
            where that works and gains anything.
        halving: When the worse half leaves; None for never.

    Returns:
        One result a member, in the order of `members`; a member whose loss became NaN or infinite says so in
        `failure`, and the others go on.

    Raises:
        TrainingError: Memory ran out, or the network cannot be trained as its switches say.
        UsageError: `engine` is `vectorized` and a member cannot train in a stack.
        Interrupted: The watch asked for it; the state is saved.
    """
    cuda = [device] if device.type == "cuda" else []
    history_file = HistoryFile(directory / "history.jsonl")
    around = Surroundings(batches, device, watch, checkpoint_seconds, directory, history_file)
    strict = any(member.switches.deterministic for member in members)
    with torch.random.fork_rng(devices=cuda), closing(history_file), determinism(strict, device):
        population = _Population(members, around, engine, resume)
        try:
            with out_of_memory_told(lambda: f"in epoch {population.epoch + 1}", device, members[0].batch_size):
                return population.run(halving)
        except StopRequested:
            raise Interrupted(f"interrupted after epoch {population.epoch} of {members[0].epochs}") from None


class _Population:
    """Carries out a plan."""

    def __init__(self, members: Sequence[Member], around: Surroundings, engine: Engine, resume: bool) -> None:
        self._members = {member.identity: member for member in members}
        self._around, self._engine, self._resume = around, engine, resume
        plan = read_plan(around.directory, self._members) if resume else None
        self._plan = plan or make_plan(members, around.batches, engine, around.device)
        self._said: set[str] = set()
        for note in self._plan.notes:
            self._say(note)
        for member in members:
            for note in switch_notes(member.switches, around.device):
                self._say(note)
        self._current: Unit | None = None
        if plan is None and len(members) > 1:
            write_plan(around.directory, self._plan)

    @property
    def epoch(self) -> int:
        """Epochs finished by the unit that is at work."""
        return self._current.epoch if self._current else 0

    def run(self, halving: Halving | None) -> list[Result]:
        """Train everybody: unit after unit, or with halving rung after rung."""
        last = max(member.epochs for member in self._members.values())
        if halving is None:
            results = {r.identity: r for unit in self._units_until(last) for r in unit.results()}
            return [results[identity] for identity in self._members]
        units: list[Unit] = []
        for rung in [*(epoch for epoch in halving.epochs if epoch < last), last]:
            units = units or list(self._units_until(rung))
            for unit in units:
                self._current = unit
                unit.run_until(rung)
            if rung < last:
                order = {identity: i for i, identity in enumerate(self._members)}
                progresses = sorted(
                    (p for unit in units for p in unit.progresses), key=lambda p: order[p.member.identity]
                )
                reasons = worse_half(progresses, rung)
                for unit in units:
                    unit.prune(reasons)
        results = {r.identity: r for unit in units for r in unit.results()}
        return [results[identity] for identity in self._members]

    def _units_until(self, epoch: int) -> Iterator[Unit]:
        """Make units one after the other, each trained up to an epoch; members that do not stack get one each."""
        plan = self._plan
        for names in plan.stacks:
            members = [self._members[name] for name in names]
            key = structure(members[0], self._around.batches)
            try:
                stack = Stack(names[0] or "stack", key, members, self._around, resume=self._resume)
                self._current = stack
                stack.run_until(epoch)
            except CannotStackError as error:
                self._take_apart(names, str(error))
                yield from self._loops_until(names, epoch)
            else:
                yield stack
        yield from self._loops_until(plan.alone, epoch)

    def _loops_until(self, names: Sequence[str], epoch: int) -> Iterator[Unit]:
        for name in names:
            loop = Loop(self._members[name], self._around, resume=self._resume)
            self._current = loop
            loop.run_until(epoch)
            yield loop

    def _take_apart(self, names: tuple[str, ...], cause: str) -> None:
        """Plan members alone that do not stack; say so, or refuse where a stack was asked for."""
        if self._engine == "vectorized":
            raise UsageError(f"--engine vectorized: {cause}; take auto or loop")
        note = f"networks train one after the other: {cause}"
        stacks = tuple(stack for stack in self._plan.stacks if stack != names)
        notes = self._plan.notes if note in self._plan.notes else (*self._plan.notes, note)
        self._plan = replace(self._plan, stacks=stacks, alone=(*self._plan.alone, *names), notes=notes)
        write_plan(self._around.directory, self._plan)
        self._say(note)

    def _say(self, note: str) -> None:
        if note not in self._said:
            self._said.add(note)
            self._around.watch.note(note)


def worse_half(progresses: Sequence[Progress], rung: int) -> dict[str, str]:
    """Say who leaves at the end of an epoch: the worse half of those who go on after it.

    Args:
        progresses: The population, in its order; some may be past that epoch, when a decision is made again.
        rung: The epoch.

    Returns:
        For each member that leaves, by identity, why.
    """
    taking_part = [
        p for p in progresses if p.epoch > rung or (p.epoch == rung and p.failure is None and (p.pruned or not p.over))
    ]
    scores: dict[str, float] = {}
    for p in taking_part:
        sign = 1.0 if p.member.direction == "min" else -1.0
        known = [sign * score for score in p.history.scores[:rung] if not math.isnan(score)]
        scores[p.member.identity] = min(known, default=math.inf)
    ranked = sorted(taking_part, key=lambda p: scores[p.member.identity])
    leaving = ranked[len(ranked) - len(ranked) // 2 :]
    return {
        p.member.identity: f"among the worse half of {len(ranked)} after epoch {rung}, by {p.member.monitor}"
        for p in leaving
    }
