"""Carries out an ensemble that has its run directory: its plan to the end, then leaves it complete."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dlcli.contracts.ensemble_members import MemberResult
from dlcli.contracts.run import RunInfo
from dlcli.data.streamed_batches import make_batches
from dlcli.errors import DataError, DlcliError, Interrupted, PluginError, StorageError, UsageError
from dlcli.experiment.ensembling.close import close_ensemble
from dlcli.experiment.ensembling.conductor import Conductor
from dlcli.experiment.ensembling.context import StrategyContext
from dlcli.experiment.ensembling.given import Given
from dlcli.experiment.ensembling.members import MemberRoom
from dlcli.experiment.ensembling.outputs import MemberOutputs
from dlcli.experiment.ensembling.state import Ensembling, Prepared, member_of
from dlcli.experiment.ensembling.store import MemberStore
from dlcli.experiment.interruption import Interruption
from dlcli.experiment.members import training_rows
from dlcli.experiment.models.model import Model
from dlcli.experiment.models.model_outputs import ModelOutputs
from dlcli.experiment.run_directory import RunDirectory, owner
from dlcli.experiment.switches import training_device
from dlcli.experiment.watch import RunWatch
from dlcli.plugins import Observers, Plugins
from dlcli.recipe.ensemble_section import EnsembleSection
from dlcli.report.ensemble_display import EnsembleDisplay
from dlcli.report.ensemble_outcome import EnsembleMember, EnsembleOutcome


@dataclass(frozen=True)
class EnsembleExecution:
    """An ensemble about to be made.

    Args:
        run: Its directory, with `recipe.toml` and `run.json` in place.
        prepared: Its recipe as live objects.
        recipe: The resolved recipe as a table.
        resume: Whether to go on from what is there.
        notes: What the user should know.
    """

    run: RunDirectory
    prepared: Prepared
    recipe: Mapping[str, Any]
    resume: bool
    notes: tuple[str, ...] = ()


def execute(execution: EnsembleExecution, display: EnsembleDisplay, plugins: Plugins) -> EnsembleOutcome:
    """Make the ensemble, and leave its run complete.

    Args:
        execution: What is to happen.
        display: Shows it.
        plugins: Components and observers.

    Returns:
        What it came to, finished or interrupted.

    Raises:
        TrainingError: Training failed.
        UsageError: The strategy cannot do it.
        StorageError: A file could not be written.
    """
    run, prepared = execution.run, execution.prepared
    train = prepared.recipe.train
    device = training_device(prepared.recipe)
    before = run.read()
    run.update(status="running", finished=None, error=None, device=str(device), **owner())
    info = RunInfo(run.path, "ensemble", execution.recipe)
    observers = Observers(plugins)
    with display, Interruption() as interruption:
        watch = RunWatch(info, display, observers, interruption)
        try:
            ensembling = _assemble(execution, device, watch, display, plugins)
            if not prepared.given:  # of given models the first step is all the work
                ensembling.conductor.begin(ensembling.context)
        except DlcliError:
            if execution.resume:
                run.update(status=before.get("status"), finished=before.get("finished"))  # as it was
            else:
                run.remove()  # nothing was made, and the user will ask again
            raise
        context = ensembling.context
        display.run_started(info, train.epochs, context.monitor, context.direction)
        for note in execution.notes:
            watch.note(note)
        watch.notify("run_started")
        try:
            outcome = ensembling.conductor.run(context)
            summary = close_ensemble(ensembling, outcome, (*watch.notes, *observers.failures))
        except (Interrupted, KeyboardInterrupt):
            run.update(status="interrupted", members=_so_far(ensembling), notes=list(watch.notes))
            summary = _interrupted(ensembling, tuple(watch.notes))
        except Exception as error:
            # The disk may be full: what made it fail is what the user must hear.
            with contextlib.suppress(StorageError):
                refused = isinstance(error, UsageError | DataError | PluginError)
                if refused and not execution.resume and not _has_trained(run):
                    run.remove()  # nothing was made, and the user will ask again
                elif execution.resume and before.get("status") == "finished":
                    run.update(status="finished", finished=before.get("finished"))  # as good as it was
                else:
                    run.update(status="failed", error=str(error), members=_so_far(ensembling), notes=list(watch.notes))
            raise
        watch.notify("run_finished", summary=summary.as_json())
    return summary


def _assemble(
    execution: EnsembleExecution,
    device: torch.device,
    watch: RunWatch,
    display: EnsembleDisplay,
    plugins: Plugins,
) -> Ensembling:
    run, prepared = execution.run, execution.prepared
    recipe, dataset = prepared.recipe, prepared.dataset
    learnt = [prepared.training_rows]
    if prepared.library is not None and prepared.validation_rows is not None:
        learnt.append(prepared.validation_rows)  # what learns from models that exist may use them
    batches = make_batches(dataset, device, learnt, recipe.seed)
    outputs = MemberOutputs(dataset.rows)
    outputs_of = ModelOutputs(batches, dataset.rows, device, recipe)
    # The context's validation rows where members are trained; of runs the rows that decide may be training rows.
    room = MemberRoom(recipe, dataset, prepared.training_rows, training_rows(recipe, dataset)[1])
    conductor = Conductor(
        room,
        MemberStore(run, room, plugins),
        batches,
        directory=run.path,
        device=device,
        watch=watch,
        display=display,
        checkpoint_seconds=recipe.train.checkpoint_seconds,
        engine=recipe.train.engine,
        resume=execution.resume,
        outputs=outputs,
    )
    for given in prepared.given.values():
        outputs.add(given.identity, partial(_given_outputs, given, outputs_of))

    def score_weights(state: Mapping[str, Tensor], like: str) -> float:
        rows = context.validation_rows
        member = member_of(like, prepared, conductor, outputs_of)
        return conductor.score_of_weights(
            context.monitor, state, member, rows if rows is not None else member.training_rows
        )

    context = StrategyContext(
        strategy=prepared.strategy,
        dataset=dataset,
        batches=batches,
        judge=prepared.judge,
        seed=recipe.seed,
        training_rows=prepared.training_rows,
        validation_rows=prepared.validation_rows,
        members=_count(prepared.section),
        architectures=_architectures(prepared),
        epochs=recipe.train.epochs,
        monitor=prepared.judge.monitor if prepared.validation_rows is None else recipe.train.monitor,
        direction=prepared.judge.direction,
        given=(),
        member_outputs=outputs,
        score_weights=score_weights,
        tell=watch.note,
        show_reached=display.reached,
        inner_share=recipe.data.split.val,
        stratify=recipe.data.split.stratify,
        fold_kind=None if recipe.data.folds is None else recipe.data.folds.kind,
    )
    context.given = tuple(_as_result(given, context) for given in prepared.given.values())
    return Ensembling(run, prepared, room, conductor, context, outputs, outputs_of, batches, device, plugins)


def _given_outputs(given: Given, outputs_of: ModelOutputs, rows: Tensor, fed: Mapping[str, Tensor]) -> Tensor:
    return given.outputs(outputs_of, rows)


def _as_result(given: Given, context: StrategyContext) -> MemberResult:
    """Return what a strategy is told of a given model."""
    rows = context.validation_rows
    score = float("nan") if rows is None else context.figure(context.member_outputs(given.identity, rows), rows)
    state = given.model.network.state_dict() if isinstance(given.model, Model) else {}
    return MemberResult(
        identity=given.identity,
        specification=given.specification,
        epoch=given.epoch,
        score=score,
        structure=given.structure,
        state=state,
        start=given.start,
    )


def _count(section: EnsembleSection) -> int | None:
    if isinstance(section.members, tuple):
        return sum(member.count for member in section.members)
    return section.members


def _architectures(prepared: Prepared) -> tuple[Any, ...]:
    members = prepared.section.members
    if not isinstance(members, tuple):
        return (prepared.recipe.model.architecture,)
    return tuple(member.architecture for member in members for _ in range(member.count))


def _has_trained(run: RunDirectory) -> bool:
    return run.model.exists() or any(run.path.glob("members/*/checkpoints/epoch-*"))


def _so_far(ensembling: Ensembling) -> list[dict[str, Any]]:
    return [member.as_json() for member in _members(ensembling)]


def _members(ensembling: Ensembling) -> tuple[EnsembleMember, ...]:
    states = ensembling.conductor.states
    return tuple(
        EnsembleMember(identity, epoch=state.result.epoch, epochs=state.training.epochs, seconds=state.training.seconds)
        for identity, state in states.items()
    )


def _interrupted(ensembling: Ensembling, notes: tuple[str, ...]) -> EnsembleOutcome:
    context = ensembling.context
    return EnsembleOutcome(
        run=ensembling.run.path,
        name=ensembling.prepared.recipe.name,
        status="interrupted",
        strategy=context.strategy.name,
        kind="combination",
        monitor=context.monitor,
        direction=context.direction,
        seconds=sum(training.seconds for training in ensembling.conductor.trainings),
        members=_members(ensembling),
        notes=notes,
    )
