"""Joining a search with a budget of one's own."""

from dataclasses import replace
from pathlib import Path

from dlcli.search.budget import Budget
from dlcli.search.claims import FileClock
from dlcli.search.heart import Heart
from dlcli.search.search_file import SearchFile


def extend(directory: Path, budget: Budget) -> Budget:
    """Let a search try as much as a budget says, where that is more than it was allowed; workers at work take it in.

    Args:
        directory: The run directory of the search.
        budget: The budget; a limit that is None leaves the search's own as it is.

    Returns:
        The budget that holds from now on: the larger one, limit by limit.

    Raises:
        DataError: `search.json` is missing or damaged.
        StorageError: It could not be written.
    """
    file = SearchFile(directory)
    lease_seconds = file.read().plan.lease_seconds
    # A heart that does not beat will do: the lock is held for a moment. Touching the clock would count idle time.
    with Heart(FileClock(file.path), lease_seconds).lock(directory / "search.lock"):
        record = file.read()
        larger = record.budget.extended(budget)
        if larger != record.budget:
            file.write(replace(record, budget=larger))
    return larger
