"""Asks a search method for settings, having told it all that is known."""

from dlcli.contracts.search import Search, Searcher, Setting, Space
from dlcli.search.search_file import SearchPlan
from dlcli.search.state import SearchState


class Asker:
    """One process's view of the method.

    It is told the score of finished trials; of pruned ones the last score known, given by few epochs or folds, which
    was worse than those of others at that point; and None of failed ones.

    Args:
        method: The search method.
        plan: What the search is.
    """

    def __init__(self, method: Search, plan: SearchPlan) -> None:
        self._method = method
        self._plan = plan
        self._searcher: Searcher | None = None
        self._stage = 0
        self._pending: set[int] = set()
        self._told: set[int] = set()

    def ask(self, state: SearchState, stage: int, space: Space, count: int) -> list[tuple[int, Setting]]:
        """Ask for settings to be run together.

        Args:
            state: The search.
            stage: The stage, from 1.
            space: Its space.
            count: How many, ≥ 1.

        Returns:
            Permanent number and setting of each new trial; fewer than `count` where nothing else is left to try.
        """
        searcher = self._up_to_date(state, stage, space)
        numbers = range(len(state.trials), len(state.trials) + count)
        asked = list(zip(numbers, searcher.ask(numbers), strict=False))
        self._pending.update(number for number, _ in asked)
        return asked

    def forget(self) -> None:
        """Start the method anew: what it proposed was not planned."""
        self._searcher = None

    def _up_to_date(self, state: SearchState, stage: int, space: Space) -> Searcher:
        if self._searcher is None or self._stage != stage:
            before = [(trial.setting, trial.score) for trial in state.ranked(stage - 1) if trial.score is not None]
            self._searcher = self._method.start(space, self._plan.direction, self._plan.seed, before)
            self._stage, self._pending, self._told = stage, set(), set()
        for number in state.ended:
            trial = state.trials[number]
            if trial.stage == stage and number not in self._told:
                self._searcher.tell(number, trial.setting, trial.score)
                self._told.add(number)
        for trial in state.of_stage(stage):
            if trial.ended is None and trial.number not in self._pending:
                self._searcher.pending(trial.number, trial.setting)
                self._pending.add(trial.number)
        return self._searcher
