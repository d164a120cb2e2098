"""What the search tells whoever shows it, and what it tells whoever runs a population."""

from collections.abc import Callable, Sequence
from typing import Protocol

from dlcli.search.state import SearchState
from dlcli.search.trials import Population, TrialOutcome


class SearchWatch(Protocol):
    """Is told how the search goes, and may ask it to end; called on the thread that works, so it must be quick."""

    def interrupted(self) -> bool:
        """Return whether the work should be saved and end now."""
        ...

    def state_changed(self, state: SearchState) -> None:
        """What is known of the search has changed, by this worker or another; `state` must not be changed."""
        ...

    def population_started(self, population: Population) -> None:
        """This worker begins to run a population, or takes one up."""
        ...

    def trial_reported(self, number: int, epoch: int, value: float) -> None:
        """A trial that this worker runs has finished an epoch with this monitored value."""
        ...

    def population_finished(self, population: Population, outcomes: Sequence[TrialOutcome]) -> None:
        """A population of this worker was run and is recorded."""
        ...

    def note(self, text: str) -> None:
        """Something happened that the user should know."""
        ...


class Report(Protocol):
    """Is told by whoever runs a population how it goes."""

    def __call__(self, trial: int, epoch: int, value: float) -> None:
        """Report a trial's monitored value at the end of an epoch.

        Args:
            trial: The trial's number.
            epoch: The epoch, from 1.
            value: The value; it may be NaN.

        Raises:
            ClaimLost: Another worker took the population over; let it pass, write nothing more.
        """
        ...

    def interrupted(self) -> bool:
        """Return whether to save the state and raise `Interrupted`; ask often, before every step.

        Returns:
            Whether the user stopped the search.

        Raises:
            ClaimLost: Another worker took the population over; let it pass, write nothing more.
        """
        ...


RunPopulation = Callable[[Population, Report], Sequence[TrialOutcome]]
"""Runs the trials of a population on its fold, going on from what its folder holds; one outcome for each trial."""
