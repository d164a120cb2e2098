"""The loop of a worker: take up a population or plan one, run it, record it, until the budget is used."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from dlcli.contracts.search import Search
from dlcli.errors import Interrupted, StorageError, TrainingError
from dlcli.search.asking import Asker
from dlcli.search.claims import Claim, ClaimLost, FileClock
from dlcli.search.failing import common_reason, hopeless
from dlcli.search.heart import Heart
from dlcli.search.outcomes import failures, result_of
from dlcli.search.planning import Planner
from dlcli.search.populations import write_result
from dlcli.search.reporting import Reporting
from dlcli.search.search_file import SearchFile
from dlcli.search.stages import Narrow
from dlcli.search.state import SearchState
from dlcli.search.trials import Population, TrialOutcome
from dlcli.search.watch import RunPopulation, SearchWatch

POLL_SECONDS = 0.2
LIVES = 5
"""How many workers may die over a population before its trials count as failed."""
_LOST = "lease-lost-"


class Helpers(Protocol):
    """Further workers that this one started."""

    def troubles(self) -> Sequence[str]:
        """Return what went wrong with them since this was last asked."""
        ...


def work(
    directory: Path,
    *,
    run: RunPopulation,
    method: Search,
    narrow: Narrow,
    watch: SearchWatch,
    helpers: Helpers | None = None,
) -> SearchState:
    """Work on a search until its budget is used, beside any number of other workers, here or on other machines.

    Args:
        directory: The run directory, with `search.json` in it; all workers see the same one.
        run: Runs a population.
        method: Proposes settings.
        narrow: Makes the space of each stage after the first.
        watch: Is told how it goes.
        helpers: Further workers, whose troubles are told to the watch; None for none.

    Returns:
        The search as it ended.

    Raises:
        Interrupted: The user stopped it; the same call goes on.
        TrainingError: Trials keep failing, or none finished; says why.
        StorageError: A file could not be written; nothing that was recorded is lost, and the same call goes on.
        DataError: A file of the search is damaged or foreign.
    """
    clock = FileClock(directory / "search.alive")
    alive = clock.last()
    stale_seconds = SearchFile(directory).read().plan.lease_seconds
    with Heart(clock, stale_seconds) as heart:
        worker = _Worker(directory, heart, run, method, narrow, watch, helpers)
        return worker.work(alive)


class _Worker:
    def __init__(
        self,
        directory: Path,
        heart: Heart,
        run: RunPopulation,
        method: Search,
        narrow: Narrow,
        watch: SearchWatch,
        helpers: Helpers | None,
    ) -> None:
        self._heart = heart
        self._run = run
        self._watch = watch
        self._helpers = helpers
        self._lock = directory / "search.lock"
        plan = SearchFile(directory).read().plan
        self._racing = plan.racing
        self._planner = Planner(directory, heart, plan, Asker(method, plan), narrow)
        self._state = self._planner.state
        self._ended_before = 0

    def work(self, alive: float | None) -> SearchState:
        with self._heart.lock(self._lock):
            self._planner.join(alive)
            self._ended_before = len(self._state.ended)
        self._watch.state_changed(self._state)
        try:
            self._loop()
            self._sweep()
        finally:
            # On a full disk the time is not written down, but whoever joins next counts it by the last sign of life.
            with suppress(StorageError), self._heart.lock(self._lock):
                self._planner.count_time(now=True)
        if not self._state.ranked():
            failed = [trial for trial in self._state.trials.values() if trial.state == "failed"]
            why = f", {common_reason(failed)}" if failed else ""
            raise TrainingError(
                f"the search ended and none of its {len(self._state.trials)} trials finished{why}; "
                "give it more trials, or narrow the ranges in [tune.space] around settings that train"
            )
        if (last := self._state.ranked()[0].stage) < max(trial.stage for trial in self._state.trials.values()):
            self._watch.note(f"no trial of stage {last + 1} finished, so the best trial is one of stage {last}")
        return self._state

    def _loop(self) -> None:
        while True:
            self._pause_if_asked()
            for trouble in self._helpers.troubles() if self._helpers is not None else ():
                self._watch.note(trouble)
            with self._heart.lock(self._lock):
                taken = self._next()
                ended = self._planner.is_over()
            if self._planner.take_changes():
                self._watch.state_changed(self._state)
            if taken is not None:
                self._work_on(*taken)
            elif ended:
                return
            else:
                time.sleep(POLL_SECONDS)

    def _sweep(self) -> None:
        """Remove the leases of workers that died when all was recorded but the lease."""
        for population in self._state.populations:
            lease = population.folder / "lease"
            if population.number in self._state.results and lease.exists():
                claim = self._heart.take(lease)
                if claim is not None:
                    self._heart.release(claim)

    def _next(self) -> tuple[Population, Claim] | None:
        self._planner.sync()
        self._planner.count_time()
        ended = [self._state.trials[number] for number in self._state.ended]
        advice = hopeless(ended, self._ended_before)
        if advice is not None:
            self._planner.complete_mirror()
            raise TrainingError(advice)
        self._planner.plan_survivors()
        taken = self._take()
        if taken is None and self._planner.plan_fresh():
            taken = self._take()
        try:
            self._planner.complete_mirror()
        except BaseException:
            if taken is not None:
                self._heart.release(taken[1])
            raise
        return taken

    def _take(self) -> tuple[Population, Claim] | None:
        for population in self._state.open:
            claim = self._heart.take(population.folder / "lease", keep=_LOST)
            if claim is not None:
                return population, claim
        return None

    def _work_on(self, population: Population, claim: Claim) -> None:
        folds_on_axis = self._state.folds > 1
        reporting = Reporting(claim, self._watch, None if folds_on_axis else self._planner.mirror)
        try:
            outcomes = self._outcomes(population, reporting)
            self._record(population, claim, reporting, outcomes)
        except ClaimLost:
            self._watch.note(
                f"this worker gave no sign of life for {claim.stale_seconds:g} s, so another took population "
                f"{population.number} over; its work on it is dropped"
            )
        except Interrupted:
            raise _stopped() from None
        finally:
            self._heart.release(claim)

    def _outcomes(self, population: Population, reporting: Reporting) -> Sequence[TrialOutcome]:
        deaths = len(list(population.folder.glob(f"{_LOST}*")))
        if deaths >= LIVES:
            return failures(population, f"{deaths} workers died while they trained its population: is memory short?")
        self._watch.population_started(population)
        try:
            return self._run(population, reporting)
        except TrainingError as error:
            return failures(population, str(error))

    def _record(
        self, population: Population, claim: Claim, reporting: Reporting, outcomes: Sequence[TrialOutcome]
    ) -> None:
        with self._heart.lock(self._lock):
            self._planner.sync()
            if population.number in self._state.results or not claim.held():
                raise ClaimLost(str(claim.path))
            reports = reporting.recorded()
            result = result_of(self._state, population, outcomes, reports, time.time(), racing=self._racing)
            if not write_result(population, result):
                raise ClaimLost(str(claim.path))
            self._planner.add_result(population, result)
        self._watch.population_finished(population, result.outcomes)
        if self._planner.take_changes():
            self._watch.state_changed(self._state)

    def _pause_if_asked(self) -> None:
        if self._watch.interrupted():
            raise _stopped()


def _stopped() -> Interrupted:
    return Interrupted("the search was stopped and its state saved; the same command goes on")
