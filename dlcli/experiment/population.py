"""What a run of several members leaves when it ends: a model each, their mean as one model, and all the figures."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from dlcli.contracts.member import Member, Result
from dlcli.data.out_of_fold import write_out_of_fold
from dlcli.experiment.models.model_folder import trained_part, write_mean, write_part
from dlcli.experiment.models.outputs import figures_of, outputs_on
from dlcli.experiment.outcome import Ending, write_outcome
from dlcli.experiment.summary import Figures, MemberSummary, PopulationSummary, Summary
from dlcli.layers.combining import MeanOfMembers
from dlcli.training.network import build_network


@dataclass
class _Evaluated:
    """Figures and outputs as they are gathered, member by member.

    Args:
        figures: By member, then by split.
        outputs: By split: outputs of each member on all rows of it.
        held_out: Of each fold its number, its rows and the outputs for them.
    """

    figures: dict[str, dict[str, Figures]] = field(default_factory=dict)
    outputs: dict[str, list[Tensor]] = field(default_factory=dict)
    held_out: list[tuple[int, Tensor, Tensor]] = field(default_factory=list)


def close_population(ending: Ending, results: Sequence[Result | None]) -> Summary:
    """Leave a run of several members complete; figures are computed, and test rows looked at, when it is finished.

    Args:
        ending: How it ended.
        results: What training gave each member, in their order; None where no epoch was finished.

    Returns:
        Its summary.

    Raises:
        StorageError: A file could not be written.
    """
    run, prepared, plan = ending.run, ending.prepared, ending.prepared.plan
    trained = [(m, r) for m, r in zip(plan.members, results, strict=True) if r and r.state and not r.failure]
    parts = {
        m.identity: trained_part(prepared.description, r.state, m.preprocessing, ending.plugins) for m, r in trained
    }
    for identity, part in parts.items():
        write_part(run.model_of(identity), part)
    if parts:
        write_mean(run.model, parts, prepared.dataset.task, ending.plugins)
    evaluated = _Evaluated()
    if ending.status == "finished":
        for member, result in trained:
            _evaluate(ending, member, result, evaluated)
    kind: Literal["seeds", "kfold"] = "kfold" if plan.folds else "seeds"
    members = tuple(
        _member_summary(member, result, evaluated.figures.get(member.identity, {}))
        for member, result in zip(plan.members, results, strict=True)
    )
    kept = [member for member in members if member.figures]
    scores = [score for member in kept if (score := _score(member, kind, prepared.monitor)) is not None]
    mean, spread = _over_members(kept)
    whole = _model_figures(ending, evaluated) if kind == "seeds" or "test" in evaluated.outputs else {}
    summary = Summary(
        run=run.path,
        name=prepared.recipe.name,
        status=ending.status,
        best_epoch=0,
        epochs=max((member.epochs for member in members), default=0),
        seconds=sum(member.seconds for member in members),
        monitor=prepared.monitor,
        best_score=statistics.fmean(scores) if scores else None,
        stopped=None,
        train=whole.get("train"),
        val=whole.get("val"),
        test=whole.get("test"),
        notes=ending.notes,
        population=PopulationSummary(
            kind=kind,
            members=members,
            mean=mean,
            spread=spread,
            score_spread=_deviation(scores) if scores else None,
            out_of_fold=_out_of_fold(ending, evaluated) if evaluated.held_out else None,
        ),
    )
    write_outcome(ending, summary, trained_on=prepared.trained_on)
    return summary


def _evaluate(ending: Ending, member: Member, result: Result, evaluated: _Evaluated) -> None:
    """Add a member's outputs and figures: on its fold where it has one, else on every split."""
    plan, splits = ending.prepared.plan, ending.prepared.scored_rows
    network = build_network(member, ending.device)
    network.load_state_dict(dict(result.state))
    figures: dict[str, Figures] = {}

    def outputs(rows: Tensor) -> Tensor:
        return outputs_on(network, member, ending.batches, rows)

    if plan.folds:
        number = [other.identity for other in plan.members].index(member.identity)
        fold = plan.folds[number]
        held_out = outputs(fold.held_out)
        evaluated.held_out.append((number, fold.held_out, held_out))
        figures["train"] = figures_of(outputs(fold.training), member, ending.batches, fold.training)
        figures["held_out"] = figures_of(held_out, member, ending.batches, fold.held_out)
        if "test" in splits:
            evaluated.outputs.setdefault("test", []).append(outputs(splits["test"]))
    else:
        for split, rows in splits.items():
            found = outputs(rows)
            evaluated.outputs.setdefault(split, []).append(found)
            figures[split] = figures_of(found, member, ending.batches, rows)
    evaluated.figures[member.identity] = figures


def _model_figures(ending: Ending, evaluated: _Evaluated) -> dict[str, dict[str, float]]:
    """Return the figures of the mean of the members, by split."""
    member, splits = ending.prepared.member, ending.prepared.scored_rows
    combine = MeanOfMembers(member.io.task)
    return {
        split: figures_of(combine(torch.stack(outputs)), member, ending.batches, splits[split])
        for split, outputs in evaluated.outputs.items()
    }


def _out_of_fold(ending: Ending, evaluated: _Evaluated) -> dict[str, float]:
    """Write `oof.h5`; return the figures over all of it, of several repeats the mean of each one's."""
    rows = torch.cat([rows for _, rows, _ in evaluated.held_out])
    folds = torch.cat([torch.full_like(rows, number) for number, rows, _ in evaluated.held_out])
    order = rows.argsort(stable=True)
    rows, folds = rows[order], folds[order]
    outputs = torch.cat([outputs for _, _, outputs in evaluated.held_out])[order]
    said = ending.prepared.member.loss.prediction(outputs)
    write_out_of_fold(ending.run.path / "oof.h5", ending.prepared.dataset, rows, folds, said)
    repeat_of = folds // (ending.prepared.recipe.train.kfold or 1)
    each = [
        figures_of(outputs[own], ending.prepared.member, ending.batches, rows[own])
        for own in (repeat_of == repeat for repeat in torch.unique(repeat_of))
    ]
    return {name: statistics.fmean(figures[name] for figures in each) for name in each[0]}


def _member_summary(member: Member, result: Result | None, figures: dict[str, Figures]) -> MemberSummary:
    scores = result.history.scores if result else ()
    return MemberSummary(
        identity=member.identity,
        epochs=result.epochs if result else 0,
        best_epoch=result.best_epoch if result else 0,
        selected_epoch=result.selected_epoch if result else 0,
        best_score=scores[result.best_epoch - 1] if result and result.best_epoch else None,
        seconds=result.seconds if result else 0.0,
        stopped=result.stopped if result else None,
        failure=result.failure if result else None,
        figures=figures,
    )


def _score(member: MemberSummary, kind: str, monitor: str) -> float | None:
    """Return what the run's score is the mean of: a seed's best, a fold's figure on the rows that it held out."""
    if kind == "seeds":
        return member.best_score
    return member.figures["held_out"][monitor.removeprefix("val_")]


def _over_members(members: Sequence[MemberSummary]) -> tuple[dict[str, Figures], dict[str, Figures]]:
    """Return mean and sample standard deviation of each figure, by split."""

    def each(function: Any) -> dict[str, Figures]:
        return {
            split: {name: function([member.figures[split][name] for member in members]) for name in values}
            for split, values in members[0].figures.items()
        }

    return (each(statistics.fmean), each(_deviation)) if members else ({}, {})


def _deviation(values: Sequence[float]) -> float:
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return math.nan
    return statistics.stdev(values)
