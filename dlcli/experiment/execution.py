"""Carries out a training run that has its directory: fit, then leave it complete, whatever happened."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlcli.contracts.history import History
from dlcli.contracts.member import Member, Result
from dlcli.contracts.run import RunInfo
from dlcli.data.streamed_batches import make_batches
from dlcli.errors import Interrupted, StorageError, TrainingError
from dlcli.experiment.interruption import Interruption
from dlcli.experiment.outcome import Ending, close_plain
from dlcli.experiment.population import close_population
from dlcli.experiment.prepare import Prepared
from dlcli.experiment.run_directory import RunDirectory, owner
from dlcli.experiment.summary import Status, Summary
from dlcli.experiment.switches import training_device
from dlcli.experiment.watch import RunWatch
from dlcli.plugins import Observers, Plugins
from dlcli.report.display import Display
from dlcli.training.checkpoint import Checkpoints, rank
from dlcli.training.fit import fit
from dlcli.training.history_file import HistoryFile
from dlcli.training.surroundings import member_folder


@dataclass(frozen=True)
class Execution:
    """A training run about to happen.

    Args:
        run: Its directory, with `recipe.toml` and `run.json` in place.
        prepared: Its live objects.
        recipe: The resolved recipe as a table.
        resume: Whether to go on from its checkpoints.
        notes: What the user should know.
    """

    run: RunDirectory
    prepared: Prepared
    recipe: Mapping[str, Any]
    resume: bool
    notes: tuple[str, ...] = ()


def execute(execution: Execution, display: Display, plugins: Plugins) -> Summary:
    """Train, and leave the run complete.

    Args:
        execution: What is to happen.
        display: Shows it.
        plugins: Components and observers.

    Returns:
        The summary of a finished or interrupted run.

    Raises:
        TrainingError: Training failed; the run says so, and keeps its last good checkpoint.
        StorageError: A file could not be written.
    """
    run, prepared, members = execution.run, execution.prepared, execution.prepared.plan.members
    train = prepared.recipe.train
    device = training_device(prepared.recipe)
    run.update(status="running", finished=None, error=None, device=str(device), **owner())
    info = RunInfo(run.path, "train", execution.recipe)
    observers = Observers(plugins)
    learnt = [member.training_rows for member in members]
    batches = make_batches(prepared.dataset, device, learnt, prepared.recipe.seed)
    with display, Interruption() as interruption:
        watch = RunWatch(info, display, observers, interruption)

        def close(results: Sequence[Result | None], status: Status, error: str | None = None) -> Summary:
            notes = (*watch.notes, *observers.failures)
            ending = Ending(run, prepared, status, batches, device, plugins, notes, error)
            plain = len(members) == 1 and not members[0].identity
            summary = close_plain(ending, results[0]) if plain else close_population(ending, results)
            watch.notify("run_finished", summary=summary.as_json())
            return summary

        display.run_started(
            info, train.epochs, members[0].monitor, members[0].direction, [m.identity for m in members if m.identity]
        )
        for note in (*execution.notes, *prepared.plan.notes):
            watch.note(note)
        watch.notify("run_started")
        status: Status = "finished"
        results: Sequence[Result | None]
        try:
            results = fit(
                members,
                batches,
                directory=run.path,
                device=device,
                watch=watch,
                checkpoint_seconds=train.checkpoint_seconds,
                resume=execution.resume,
                engine=train.engine,
            )
        except (Interrupted, KeyboardInterrupt):
            status, results = "interrupted", [_so_far(run, member) for member in members]
        except Exception as error:
            # The disk may be full: what made training fail is what the user must hear.
            with contextlib.suppress(StorageError):
                close([_so_far(run, member) for member in members], "failed", str(error))
            raise
        failed = [result for result in results if result and result.failure]
        if len(failed) == len(members):
            failure = _all_failed(failed)
            close(results, "failed", failure)
            raise TrainingError(failure)
        if failed:
            watch.note(
                f"{len(failed)} of {len(members)} members failed and are left out: "
                + "; ".join(f"{result.identity}: {result.failure}" for result in failed)
            )
        summary = close(results, status)
        display.finished(summary)
    return summary


def _all_failed(failed: Sequence[Result]) -> str:
    if len(failed) == 1:
        return str(failed[0].failure)
    return f"all {len(failed)} members failed; {failed[0].identity}: {failed[0].failure}"


def _so_far(run: RunDirectory, member: Member) -> Result | None:
    """Return what a member whose training ended early has on disk; None where no epoch was finished."""
    records = HistoryFile(run.path / "history.jsonl").read(member.identity)
    history = History(records, member.monitor, member.direction)
    best = Checkpoints(member_folder(run.path, member.identity) / "checkpoints", member.keep).read_best(history)
    if best is None:
        return None
    return Result(
        identity=member.identity,
        state=best[1],
        selected_epoch=best[0],
        best_epoch=rank(history)[0],
        history=history,
        stopped=None,
        seconds=sum(record.seconds for record in records),
    )
