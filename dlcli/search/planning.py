"""What is decided under the search lock: taking in what others did, and planning populations."""

import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dlcli import atomic
from dlcli.contracts.search import Setting, Space
from dlcli.search.asking import Asker
from dlcli.search.budget import time_is_over, trials_left
from dlcli.search.heart import Heart
from dlcli.search.journal import Journal
from dlcli.search.mirror import Mirror
from dlcli.search.populations import read_plan, read_result, write_plan
from dlcli.search.search_file import SearchFile, SearchPlan, SearchRecord, joined, ticked
from dlcli.search.stages import Narrow, freeze_space, frozen_space, rungs
from dlcli.search.state import SearchState
from dlcli.search.trials import Population, PopulationResult

_TICK_SECONDS = 1.0
_LEFTOVER_LEASES = 10


class Planner:
    """Plans a search. All methods but `take_changes` are called while the search lock is held.

    Args:
        directory: The run directory.
        heart: Gives signs of life.
        plan: What the search is.
        asker: Gives settings.
        narrow: Makes the space of each stage after the first.
    """

    def __init__(self, directory: Path, heart: Heart, plan: SearchPlan, asker: Asker, narrow: Narrow) -> None:
        self.state = SearchState(plan.folds, plan.direction)
        self.mirror = Mirror(Journal(directory / "search.journal", heart), plan)
        self._directory = directory
        self._root = directory / "populations"
        self._clock = heart.clock
        self._plan = plan
        self._asker = asker
        self._narrow = narrow
        self._file = SearchFile(directory)
        self._record: SearchRecord
        self._spaces: list[Space] = []
        self._changed = True
        self._unmirrored = True
        self._exhausted = False

    @property
    def _stage(self) -> int:
        return len(self._spaces)

    @property
    def _stages(self) -> int:
        return len(self._plan.stage_epochs)

    def join(self, alive: float | None) -> None:
        """Begin or join: count the time until now, sweep up after the dead, and take in all that happened.

        Args:
            alive: When any worker last gave a sign of life; None where none ever did.
        """
        now = self._clock.now()
        for path in [*self._directory.glob(f"{atomic.PARTIAL}*"), *self._root.glob(f"{atomic.PARTIAL}*")]:
            with atomic.storage_errors(path):
                if path.exists() and now - path.stat().st_mtime > _LEFTOVER_LEASES * self._plan.lease_seconds:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        if frozen_space(self._directory, 1) is None:
            freeze_space(self._directory, 1, self._plan.space)
        self.sync()
        record = self._file.read()
        # With nothing under way nobody was at work, however lately the last one ended.
        self._record = joined(record, now, alive) if self.state.open else replace(record, ticked=now)
        self._file.write(self._record)

    def sync(self) -> None:
        """Take in what others planned and recorded."""
        while self._stage < self._stages:
            space = frozen_space(self._directory, self._stage + 1)
            if space is None:
                break
            self._add_space(space)
        for population in self.state.open:
            self._take_result(population)
        while (planned := read_plan(self._root, len(self.state.populations))) is not None:
            self._add_plan(planned)
            self._take_result(planned)

    def count_time(self, now: bool = False) -> None:
        """Count the time until now, and take in a larger budget that somebody gave.

        Args:
            now: Whether to write it down even where little time has passed.
        """
        time_now = self._clock.now()
        found = self._file.read()
        self._record = ticked(found, time_now)
        if now or time_now - (found.ticked or 0.0) > _TICK_SECONDS:
            self._file.write(self._record)

    def plan_survivors(self) -> None:
        """Plan the next fold of every population whose survivors wait for it."""
        while due := self.state.due():
            before, survivors = due[0]
            settings = dict(before.trials)
            self._write(
                [(number, settings[number]) for number in survivors], before.stage, before.fold + 1, before.number
            )

    def plan_fresh(self) -> bool:
        """Plan a population of new settings, if the budget allows one; begin the next stage if this one is done.

        Returns:
            Whether one was planned, by this worker or another.
        """
        while True:
            count = self._allowed()
            if count > 0:
                asked = self._asker.ask(self.state, self._stage, self._spaces[-1], count)
                if asked:
                    if not self._write(asked, self._stage, 0, None):
                        self._asker.forget()
                    return True
                self._exhausted = True
            if self.state.open or self._stage == self._stages or not self.state.ranked(self._stage):
                return False
            done = [(trial.setting, trial.score) for trial in self.state.ranked(self._stage)]
            scored = [(setting, score) for setting, score in done if score is not None]
            space = self._narrow(self._spaces[-1], scored, self._plan.direction)
            self._add_space(freeze_space(self._directory, self._stage + 1, space))

    def is_over(self) -> bool:
        """Return whether nothing is under way; asked after nothing could be taken or planned."""
        return not self.state.open

    def add_result(self, population: Population, result: PopulationResult) -> None:
        """Take in a result that was just written."""
        self.state.add_result(population, result)
        self._changed = self._unmirrored = True

    def complete_mirror(self) -> None:
        """Write to the journal what it lacks."""
        if self._unmirrored:
            self.mirror.complete(self.state)
            self._unmirrored = False

    def take_changes(self) -> bool:
        """Return whether anything changed since this was last asked."""
        changed, self._changed = self._changed, False
        return changed

    def _allowed(self) -> int:
        planned = Counter(trial.stage for trial in self.state.trials.values())
        budget = self._record.budget
        over = time_is_over(budget, self._stage, self._stages, self._record.seconds)
        # Time alone never ends a stage before it has tried anything: the next ones, or the user, would have nothing.
        if self._exhausted or (over and planned[self._stage] > 0):
            return 0
        left = trials_left(budget, self._stage, self._stages, planned)
        return self._plan.population if left is None else min(left, self._plan.population)

    def _write(self, trials: Sequence[tuple[int, Setting]], stage: int, fold: int, after: int | None) -> bool:
        number, epochs = len(self.state.populations), self._plan.stage_epochs[stage - 1]
        written = write_plan(
            self._root,
            number,
            trials,
            stage=stage,
            fold=fold,
            epochs=epochs,
            rungs=rungs(epochs) if self._plan.halving and fold == 0 else (),
            after=after,
            planned=time.time(),
        )
        found = read_plan(self._root, number)
        assert found is not None  # written by this worker, or by the one that was quicker
        self._add_plan(found)
        return written

    def _add_plan(self, population: Population) -> None:
        self.state.add_plan(population)
        self._changed = self._unmirrored = True

    def _add_space(self, space: Space) -> None:
        self._spaces.append(space)
        self.mirror.add_space(self._stage, space)
        self._exhausted = False

    def _take_result(self, population: Population) -> None:
        result = read_result(population)
        if result is not None:
            self.state.add_result(population, result)
            self._changed = self._unmirrored = True
