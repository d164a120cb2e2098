"""How the members of an ensemble stand: which are compared, their scores, and the ensemble of the first of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from dlcli.contracts.ensemble_members import Combination, Outcome, SingleMember
from dlcli.experiment.ensembling.outputs import combined_outputs, wiring_of
from dlcli.experiment.ensembling.state import Ensembling
from dlcli.experiment.ensembling.structure import digest
from dlcli.experiment.models.combination import Wiring
from dlcli.experiment.models.outputs import figures_of
from dlcli.experiment.summary import finite_number
from dlcli.report.ensemble_outcome import CurvePoint, EnsembleMember


def compared_members(own: Ensembling, outcome: Outcome) -> list[str]:
    """Return the members that the ensemble is compared with: those that answer alone and saw what it saw."""
    if not own.prepared.strategy.answers_alone:
        return []
    wiring = wiring_of(outcome) if isinstance(outcome, Combination) else Wiring(())
    used = [identity for identity in wiring.everybody if identity not in wiring.fed]
    states = own.conductor.states
    starts = {state.result.start for state in states.values()} - {""}
    whole = [
        identity
        for identity, state in states.items()
        if not state.member.fed
        and state.member.training_rows is own.prepared.training_rows
        and not (starts and digest(state.result.state) in starts)  # a network that others only began from
    ]
    every = dict.fromkeys([*own.prepared.given, *used, *whole])
    if isinstance(outcome, SingleMember):
        every.pop(outcome.identity, None)
    return list(every)


def scores_of(own: Ensembling, names: Sequence[str]) -> dict[str, float]:
    """Return the monitored value of members on validation rows, by identity; empty where there are no such rows."""
    context, rows = own.context, own.prepared.validation_rows
    if rows is None:
        return {}
    return {identity: context.figure(own.outputs(identity, rows), rows) for identity in names}


def best_of(own: Ensembling, names: Sequence[str], scores: Mapping[str, float]) -> str:
    """Return the best member by validation rows; without any by its loss on training rows, never by test rows."""
    sign = 1.0 if own.context.direction == "min" else -1.0
    if scores:
        return min(names, key=lambda identity: (math.isnan(scores[identity]), sign * scores[identity]))
    rows = own.prepared.training_rows
    plain = replace(own.prepared.judge, metrics={})
    return min(names, key=lambda i: figures_of(own.outputs(i, rows), plain, own.batches, rows)["loss"])


def members_of(
    own: Ensembling, outcome: Outcome, scores: Mapping[str, float], figures: Mapping[str, Mapping[str, float]]
) -> tuple[EnsembleMember, ...]:
    """Return all members as they are shown and recorded.

    Args:
        own: The ensemble.
        outcome: What its strategy decided.
        scores: Monitored values on validation rows, by identity.
        figures: Figures on the rows of the comparison, by identity.

    Returns:
        The given ones, and the trained ones in the order of their training.
    """
    if isinstance(outcome, Combination):
        used = set(wiring_of(outcome).everybody)
    else:
        used = {outcome.identity} if isinstance(outcome, SingleMember) else set(outcome.members)
    found = [
        EnsembleMember(
            identity=given.identity,
            source=given.source,
            epoch=given.epoch,
            score=finite_number(scores.get(given.identity)),
            parameters=_count(given.part.tensors),
            used=given.identity in used,
            figures=figures.get(given.identity, {}),
        )
        for given in own.prepared.given.values()
    ]
    for training in own.conductor.trainings:
        whole = EnsembleMember(
            training.identity,
            epochs=training.epochs,
            seconds=training.seconds / max(1, len(training.states)),
            used=False,
            failure=training.failure,
            stopped=training.stopped,
        )
        if training.failure:
            found.append(whole)
        for kept in training.states:
            state = own.conductor.states[kept.identity].result
            found.append(
                replace(
                    whole,
                    identity=kept.identity,
                    epoch=kept.epoch,
                    score=finite_number(scores.get(kept.identity, state.score)),
                    parameters=_count(state.state),
                    used=kept.identity in used,
                    figures=figures.get(kept.identity, {}),
                )
            )
    return tuple(found)


def curve_of(own: Ensembling, rows: Tensor | None) -> tuple[CurvePoint, ...]:
    """Return the ensemble against its number of members, as far as the strategy said what it reached.

    Args:
        own: The ensemble.
        rows: Rows of the comparison, int64; None where there are none.

    Returns:
        Points with rising numbers of members.
    """
    plain = replace(own.prepared.judge, metrics={})
    points: dict[int, CurvePoint] = {}
    for combination, score in zip(own.context.combinations, own.context.scores, strict=True):
        compared = None
        if rows is not None:
            outputs = combined_outputs(own.prepared.strategy, own.context.task, combination, own.outputs, rows)
            compared = finite_number(figures_of(outputs, plain, own.batches, rows)["loss"])
        count = len(combination.members)
        points[count] = CurvePoint(count, finite_number(score), compared)
    return tuple(points[count] for count in sorted(points))


def _count(tensors: Mapping[str, Tensor]) -> int:
    """Return how many numbers the weights of a model are."""
    return sum(t.numel() for name, t in tensors.items() if t.is_floating_point() and ".preprocess" not in f".{name}")
