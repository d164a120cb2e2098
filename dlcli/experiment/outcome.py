"""What a training run leaves when it ends: its model, its figures, and `run.json`; here of a plain run."""

from dataclasses import dataclass

import torch

from dlcli.contracts.batch import Batches
from dlcli.contracts.member import Result
from dlcli.experiment.environment import now
from dlcli.experiment.models.model_folder import trained_part, write_part
from dlcli.experiment.prepare import Prepared
from dlcli.experiment.run_directory import RunDirectory
from dlcli.experiment.summary import Status, Summary, finite, finite_number
from dlcli.plugins import Plugins
from dlcli.training.evaluation import evaluate
from dlcli.training.network import build_network
from dlcli.training.threads import suitable_threads


@dataclass(frozen=True)
class Ending:
    """How a run ended, and what its figures are computed with.

    Args:
        run: Its directory.
        prepared: Its live objects.
        status: How it ended.
        batches: The dataset as batches.
        device: Where to compute.
        plugins: Which packages the components come from.
        notes: What the user should know.
        error: Why it failed; None where it did not.
    """

    run: RunDirectory
    prepared: Prepared
    status: Status
    batches: Batches
    device: torch.device
    plugins: Plugins
    notes: tuple[str, ...] = ()
    error: str | None = None


def close_plain(ending: Ending, result: Result | None) -> Summary:
    """Leave a run of one network complete; the test rows are looked at only when it is finished.

    Args:
        ending: How it ended.
        result: What training gave; None where no epoch was finished.

    Returns:
        Its summary.

    Raises:
        StorageError: A file could not be written.
    """
    run, prepared = ending.run, ending.prepared
    figures: dict[str, dict[str, float]] = {}
    if result is not None and result.state:
        preprocessing = prepared.member.preprocessing
        write_part(run.model, trained_part(prepared.description, result.state, preprocessing, ending.plugins))
        figures = _figures(ending, result)
    scores = result.history.scores if result else ()
    summary = Summary(
        run=run.path,
        name=prepared.recipe.name,
        status=ending.status,
        best_epoch=result.best_epoch if result else 0,
        epochs=result.epochs if result else 0,
        seconds=result.seconds if result else 0.0,
        monitor=prepared.monitor,
        best_score=scores[result.best_epoch - 1] if result and result.best_epoch else None,
        stopped=result.stopped if result else None,
        train=figures.get("train"),
        val=figures.get("val"),
        test=figures.get("test"),
        notes=ending.notes,
        selected_epoch=result.selected_epoch if result else 0,
    )
    write_outcome(ending, summary, selected_epoch=summary.selected_epoch, trained_on=prepared.trained_on)
    return summary


def write_outcome(ending: Ending, summary: Summary, **entries: object) -> None:
    """Write what a summary says into `run.json`.

    Args:
        ending: How the run ended.
        summary: Its summary.
        **entries: Further entries.
    """
    ending.run.update(
        status=summary.status,
        finished=now(),
        seconds=summary.seconds,
        epochs=summary.epochs,
        best_epoch=summary.best_epoch or None,
        best_score=finite_number(summary.best_score),
        stopped=summary.stopped,
        train=finite(summary.train),
        val=finite(summary.val),
        test=finite(summary.test),
        **summary.population_json(),
        notes=list(summary.notes),
        error=ending.error,
        **entries,
    )


def _figures(ending: Ending, result: Result) -> dict[str, dict[str, float]]:
    member, splits = ending.prepared.member, ending.prepared.scored_rows
    network = build_network(member, ending.device)
    network.load_state_dict(dict(result.state))
    wanted = ("train", "val", "test") if ending.status == "finished" else ("train", "val")
    with suitable_threads(network, member):
        return {
            split: evaluate(
                network,
                ending.batches.evaluation(member, splits[split]),
                task=member.io.task,
                loss=member.loss,
                metrics=member.metrics,
            )
            for split in wanted
            if split in splits
        }
