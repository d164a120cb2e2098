"""Which runs there are, read from their run directories alone; nothing heavy is imported and nothing written."""

import math
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dlcli.errors import DataError, UsageError
from dlcli.experiment.run_directory import RUNS, RunDirectory, is_running

STATUSES = ("finished", "interrupted", "failed", "running", "killed", "damaged")
"""What may have become of a run: `killed` died without a word, `damaged` has no run.json that can be read."""
SORTS = ("best", "name", "when", "time", "epochs", "status")
"""What runs may be sorted by."""

KINDS = {"seeds": "seeds", "kfold": "folds", "trials": "trials"}
"""What the members of a run are; of a search all trials are counted, also those without a model."""


@dataclass(frozen=True)
class RunRow:
    """One run, as `dlcli runs` lists it; what is not known is None.

    Args:
        run: Its directory.
        name: Its name.
        status: One of `STATUSES`.
        command: The verb that made it.
        monitor: The value that decides its best epoch.
        direction: Whether a smaller (`min`) or larger (`max`) monitored value is better.
        best_score: That value at the best epoch; of several members the mean, of folds on held-out rows.
        score_spread: Sample standard deviation of what that is the mean of.
        members: Such as `10 seeds`, `5 folds` or `40 trials`.
        best_epoch: The best epoch, from 1.
        epochs: Epochs trained.
        seconds: Wall time.
        started: When it started, with its time zone.
        train: Final figures on the training rows.
        val: Final figures on the validation rows.
        test: Final figures on the test rows.
        problem: Why it failed, or why its run.json cannot be read.
    """

    run: Path
    name: str
    status: str
    command: str | None = None
    monitor: str | None = None
    direction: str | None = None
    best_score: float | None = None
    score_spread: float | None = None
    members: str | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    seconds: float | None = None
    started: datetime | None = None
    train: Mapping[str, float] = field(default_factory=dict)
    val: Mapping[str, float] = field(default_factory=dict)
    test: Mapping[str, float] = field(default_factory=dict)
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the object that `--json` lists."""
        started = self.started.isoformat() if self.started else None
        return {**vars(self), "run": str(self.run), "started": started}


def list_runs(
    root: Path = RUNS,
    *,
    name: str = "",
    status: str | None = None,
    sort: str = "when",
    reverse: bool = False,
) -> list[RunRow]:
    """Return the runs of a folder; a damaged one is shown as such.

    Args:
        root: The folder that holds `NAME/0001` directories; none there, no runs.
        name: Only runs whose name begins so.
        status: Only runs of this status; None for all.
        sort: One of `SORTS`. `best` puts runs of one monitor side by side, the best first; `when`, `time` and
            `epochs` put the latest, the longest and the most first. What a run lacks puts it last.
        reverse: Whether to turn the order round.

    Returns:
        One row a run.

    Raises:
        UsageError: An unknown status or sort key.
    """
    _choose("--status", status, (None, *STATUSES))
    _choose("--sort", sort, SORTS)
    directories = [path for path in root.glob("*/*") if path.name.isdecimal() and path.is_dir()]
    rows = [read_run(directory) for directory in directories]
    wanted = [row for row in rows if row.name.startswith(name) and status in (None, row.status)]
    return _sorted(wanted, sort, reverse)


def read_run(directory: Path) -> RunRow:
    """Return what a run directory says of its run.

    Args:
        directory: The run directory.

    Returns:
        Its row; `damaged`, with the problem, where run.json is missing or not what dlcli writes.
    """
    try:
        return _row(directory, RunDirectory(directory).read())
    except DataError as error:
        problem = str(error)
    except (ValueError, KeyError, TypeError) as error:
        problem = f"{directory / 'run.json'} is not as dlcli writes it: {type(error).__name__}: {error}"
    return RunRow(directory, directory.parent.name, "damaged", problem=problem)


def _row(directory: Path, record: dict[str, Any]) -> RunRow:
    status = str(record["status"])
    if status not in STATUSES:
        raise ValueError(f"unknown status {status!r}")
    if status == "running" and record.get("host") == socket.gethostname() and not is_running(record):
        status = "killed"
    score = record.get("best_score")
    population = record.get("population") or {}
    return RunRow(
        run=directory,
        name=directory.parent.name,
        status=status,
        command=record.get("command"),
        monitor=record.get("monitor"),
        direction=record.get("direction"),
        best_score=None if score is None else float(score),
        score_spread=population.get("score_spread"),
        members=f"{population['count']} {KINDS[population['kind']]}" if population else None,
        best_epoch=_whole(record.get("best_epoch")),
        epochs=_whole(record.get("epochs")),
        seconds=None if record.get("seconds") is None else float(record["seconds"]),
        started=datetime.fromisoformat(record["started"]).astimezone(),
        train=dict(record.get("train") or {}),
        val=dict(record.get("val") or {}),
        test=dict(record.get("test") or {}),
        problem=record.get("error"),
    )


def _whole(value: object) -> int | None:
    return None if value is None else int(str(value))


def _sorted(rows: Iterable[RunRow], sort: str, reverse: bool) -> list[RunRow]:
    def key(row: RunRow) -> Any:
        if sort == "best":
            score = None if row.best_score is None or math.isnan(row.best_score) else row.best_score
            return None if score is None else (row.monitor or "", -score if row.direction == "max" else score)
        if sort == "when":
            return None if row.started is None else -row.started.timestamp()
        if sort == "time":
            return None if row.seconds is None else -row.seconds
        if sort == "epochs":
            return None if row.epochs is None else -row.epochs
        return STATUSES.index(row.status) if sort == "status" else row.name

    # By name and number first: sorting is stable, so rows that are equal otherwise stay in that order.
    ordered = sorted(rows, key=lambda row: (row.name, int(row.run.name)))
    known = sorted((row for row in ordered if key(row) is not None), key=key, reverse=reverse)
    return [*known, *(row for row in ordered if key(row) is None)]


def _choose(what: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        names = ", ".join(str(name) for name in allowed if name is not None)
        raise UsageError(f"unknown {what} {value!r}; there are {names}")
