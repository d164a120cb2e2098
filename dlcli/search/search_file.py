"""`search.json`: what a search is, how much it may try, and how much time it has used."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dlcli import atomic
from dlcli.contracts.history import Direction
from dlcli.contracts.search import Space
from dlcli.errors import DataError, UsageError
from dlcli.search.budget import Budget
from dlcli.search.space_file import space_from_json, space_to_json
from dlcli.search.stages import stage_epochs

FORMAT = 1


@dataclass(frozen=True)
class SearchPlan:
    """What every worker of a search must agree on; fixed when the search starts.

    Args:
        run: Name of the run; its Optuna studies are `<run>/stage-1` and so on.
        direction: Whether a smaller or larger score is better.
        monitor: Name of the score, such as `val_loss`.
        space: What is searched, in the first stage.
        method: The search method, as the registry writes it.
        seed: Seed of the search.
        recipe: A digest of the resolved recipe without the budget.
        epochs: Epochs of a trial, ≥ 1.
        folds: Folds that a trial is scored on; 1 for a single validation split.
        stages: Number of stages asked for, ≥ 1.
        population: Settings that are asked for and run together, ≥ 1.
        halving: Whether the worse half leaves during the first fold.
        racing: Whether trials that are worse than the best one's worst fold go on to no further fold.
        lease_seconds: After how long without a sign of life a worker's population is taken over, > 0.
    """

    run: str
    direction: Direction
    monitor: str
    space: Space
    method: Mapping[str, Any]
    seed: int
    recipe: str
    epochs: int
    folds: int = 1
    stages: int = 1
    population: int = 8
    halving: bool = True
    racing: bool = True
    lease_seconds: float = 20.0

    def __post_init__(self) -> None:
        for name in ("epochs", "folds", "stages", "population"):
            if getattr(self, name) < 1:
                raise UsageError(f"the search's {name} must be at least 1, got {getattr(self, name)}")
        if not (math.isfinite(self.lease_seconds) and self.lease_seconds > 0):
            raise UsageError(f"the search's lease_seconds must be above 0, got {self.lease_seconds}")

    @property
    def stage_epochs(self) -> tuple[int, ...]:
        """Epochs of each stage; its length is the number of stages."""
        return stage_epochs(self.epochs, self.stages)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return json.loads(json.dumps({**vars(self), "space": space_to_json(self.space)}))  # type: ignore[no-any-return]

    def differences(self, other: "SearchPlan") -> dict[str, tuple[Any, Any]]:
        """Return what differs from another plan, as JSON values of this one and of the other; empty where equal."""
        mine, theirs = self.to_json(), other.to_json()
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}


@dataclass(frozen=True)
class SearchRecord:
    """All that `search.json` holds.

    Args:
        plan: What the search is.
        budget: How much it may try.
        seconds: Time used until `ticked`.
        ticked: When the time was last counted, by the file system's clock; None where no worker began.
    """

    plan: SearchPlan
    budget: Budget
    seconds: float = 0.0
    ticked: float | None = None


@dataclass(frozen=True)
class SearchFile:
    """The file `search.json` of a run. Whoever changes it while workers are about holds the search lock.

    Args:
        directory: The run directory.
    """

    directory: Path

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.directory / "search.json"

    def create(self, plan: SearchPlan, budget: Budget) -> None:
        """Begin a search that nobody works on yet.

        Args:
            plan: What it is.
            budget: How much it may try.

        Raises:
            UsageError: The budget has no limit.
            StorageError: The file could not be written.
        """
        if budget.trials is None and budget.minutes is None:
            raise UsageError("a search needs a limit: give trials, or minutes, or both")
        self.write(SearchRecord(plan, budget))

    def read(self) -> SearchRecord:
        """Return what the file holds.

        Returns:
            The record.

        Raises:
            DataError: The file is missing, damaged or of another format.
        """
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            if found["format"] != FORMAT:
                raise ValueError(f"it is of another format; this dlcli reads format {FORMAT}")
            plan = {**found["plan"], "space": space_from_json(found["plan"]["space"])}
            return SearchRecord(SearchPlan(**plan), Budget(**found["budget"]), found["seconds"], found["ticked"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self.path} cannot be read as a search: {error}; start the search anew") from None

    def write(self, record: SearchRecord) -> None:
        """Replace what the file holds."""
        atomic.write_json(
            self.path,
            {
                "format": FORMAT,
                "plan": record.plan.to_json(),
                "budget": vars(record.budget),
                "seconds": record.seconds,
                "ticked": record.ticked,
            },
        )


def joined(record: SearchRecord, now: float, alive: float | None) -> SearchRecord:
    """Count the time until a worker joins: all of it where others are at work, else until the last sign of life.

    Args:
        record: What was known.
        now: The file system's time.
        alive: When any worker last gave a sign of life; None where none ever did.

    Returns:
        The record, counted until now.
    """
    if record.ticked is None:
        return replace(record, ticked=now)
    last = max(alive if alive is not None else record.ticked, record.ticked)
    busy = now - last <= record.plan.lease_seconds / 2
    return _counted(record, now if busy else last, now)


def ticked(record: SearchRecord, now: float) -> SearchRecord:
    """Count the time while a worker is at work.

    Args:
        record: What was known.
        now: The file system's time.

    Returns:
        The record, counted until now.
    """
    return _counted(record, now, now)


def _counted(record: SearchRecord, until: float, now: float) -> SearchRecord:
    assert record.ticked is not None  # a worker joined
    return replace(record, seconds=record.seconds + max(until - record.ticked, 0.0), ticked=now)
