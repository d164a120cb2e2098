"""Carries out a training run that has its directory: fit, keep the model, evaluate, and say what came of it."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dlcli.contracts.history import EpochRecord, History
from dlcli.contracts.member import Member, Result
from dlcli.contracts.run import RunInfo
from dlcli.data.batches import InMemoryBatches
from dlcli.errors import Interrupted, StorageError
from dlcli.experiment.environment import now
from dlcli.experiment.interruption import Interruption
from dlcli.experiment.model_file import write_model
from dlcli.experiment.prepare import Prepared
from dlcli.experiment.run_directory import RunDirectory, owner
from dlcli.experiment.summary import Status, Summary, finite
from dlcli.plugins import Observers, Plugins
from dlcli.report.display import Display
from dlcli.training.checkpoint import Checkpoints, rank
from dlcli.training.device import choose_device
from dlcli.training.evaluation import evaluate
from dlcli.training.fit import fit
from dlcli.training.history_file import HistoryFile
from dlcli.training.network import build_network
from dlcli.training.threads import suitable_threads


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


class _Watch:
    """Passes on what training says: to the display, to the observers; and Ctrl-C the other way."""

    def __init__(self, info: RunInfo, display: Display, observers: Observers, interruption: Interruption) -> None:
        self._info, self._display, self._observers = info, display, observers
        self._interruption = interruption
        self.epoch_started = display.epoch_started
        self.step_finished = display.step_finished

    def interrupted(self) -> bool:
        return self._interruption.requested

    def epoch_finished(self, member: Member, record: EpochRecord, history: History) -> None:
        self._display.epoch_finished(member, record, history)
        self.notify("epoch_finished", member=member.identity, record=record)

    def notify(self, hook: str, **arguments: object) -> None:
        for failure in self._observers.notify(hook, run=self._info, **arguments):
            self._display.note(failure)


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
    run, prepared, member = execution.run, execution.prepared, execution.prepared.member
    device = choose_device(prepared.recipe.train.device)
    run.update(status="running", finished=None, error=None, device=str(device), **owner())
    info = RunInfo(run.path, "train", execution.recipe)
    observers = Observers(plugins)
    batches = InMemoryBatches(prepared.dataset, device)
    with display, Interruption() as interruption:
        watch = _Watch(info, display, observers, interruption)
        display.run_started(info, member.epochs, member.monitor, member.direction)
        for note in execution.notes:
            display.note(note)
        watch.notify("run_started")
        status: Status = "finished"
        result: Result | None
        try:
            result = fit(
                [member],
                batches,
                directory=run.path,
                device=device,
                watch=watch,
                checkpoint_seconds=prepared.recipe.train.checkpoint_seconds,
                resume=execution.resume,
            )[0]
        except (Interrupted, KeyboardInterrupt):
            status, result = "interrupted", _so_far(run, member)
        except Exception as error:
            # The disk may be full: what made training fail is what the user must hear.
            with contextlib.suppress(StorageError):
                failed = _so_far(run, member)
                summary = _close(execution, failed, "failed", batches, device, plugins, observers, str(error))
                watch.notify("run_finished", summary=summary.as_json())
            raise
        summary = _close(execution, result, status, batches, device, plugins, observers, None)
        watch.notify("run_finished", summary=summary.as_json())
        display.finished(summary)
    return summary


def _so_far(run: RunDirectory, member: Member) -> Result | None:
    """Return what a run that ended early has on disk; None where no epoch was finished."""
    records = HistoryFile(run.path / "history.jsonl").read(member.identity)
    history = History(records, member.monitor, member.direction)
    best = Checkpoints(run.path / "checkpoints", member.keep).read_best(history)
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


def _close(
    execution: Execution,
    result: Result | None,
    status: Status,
    batches: InMemoryBatches,
    device: torch.device,
    plugins: Plugins,
    observers: Observers,
    error: str | None,
) -> Summary:
    """Write the model and `run.json`; the test rows are looked at only when the run is finished."""
    run, prepared = execution.run, execution.prepared
    figures: dict[str, dict[str, float]] = {}
    if result is not None:
        write_model(run.model, prepared.description, result.state, prepared.member.preprocessing, plugins)
        splits = ("train", "val", "test") if status == "finished" else ("train", "val")
        figures = _figures(prepared, result.state, batches, device, splits)
    scores = result.history.scores if result else ()
    summary = Summary(
        run=run.path,
        name=prepared.recipe.name,
        status=status,
        best_epoch=result.best_epoch if result else 0,
        epochs=result.epochs if result else 0,
        seconds=result.seconds if result else 0.0,
        monitor=prepared.member.monitor,
        best_score=scores[result.best_epoch - 1] if result and result.best_epoch else None,
        stopped=result.stopped if result else None,
        train=figures.get("train"),
        val=figures.get("val"),
        test=figures.get("test"),
        notes=(*execution.notes, *observers.failures),
    )
    run.update(
        status=status,
        finished=now(),
        seconds=summary.seconds,
        epochs=summary.epochs,
        best_epoch=summary.best_epoch,
        best_score=summary.best_score,
        selected_epoch=result.selected_epoch if result else 0,
        stopped=summary.stopped,
        train=finite(summary.train),
        val=finite(summary.val),
        test=finite(summary.test),
        notes=list(summary.notes),
        error=error,
    )
    return summary


def _figures(
    prepared: Prepared,
    state: Mapping[str, Tensor],
    batches: InMemoryBatches,
    device: torch.device,
    splits: tuple[str, ...],
) -> dict[str, dict[str, float]]:
    member = prepared.member
    network = build_network(member, device)
    network.load_state_dict(dict(state))
    with suitable_threads(network, member):
        return {
            split: evaluate(
                network,
                batches.evaluation(member, prepared.dataset.splits[split]),
                task=member.io.task,
                loss=member.loss,
                metrics=member.metrics,
            )
            for split in splits
            if split in prepared.dataset.splits
        }
