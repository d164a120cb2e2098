"""The members of an ensemble as a table: each one's epoch, score and figures, or those of the best and the worst."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from dlcli.report.ensemble_outcome import EnsembleMember, EnsembleOutcome
from dlcli.report.figures import score_of
from dlcli.report.layout import plain_table
from dlcli.report.scoreboard import ROWS


def member_names(members: Sequence[EnsembleMember]) -> dict[str, str]:
    """Return for each identity what a user knows the member by: its run, where each has one of its own."""
    sources = {member.source for member in members}
    own = None not in sources and len(sources) == len(members)
    return {member.identity: member.source if own and member.source else member.identity for member in members}


def best_first(outcome: EnsembleOutcome) -> list[EnsembleMember]:
    """Return the members that did not fail, the best score first, those without one last."""
    sign = 1 if outcome.direction == "min" else -1

    def rank(member: EnsembleMember) -> tuple[bool, float]:
        score = member.score
        known = score is not None and not math.isnan(score)
        return not known, sign * score if known and score is not None else 0.0

    return sorted((member for member in outcome.members if member.failure is None), key=rank)


def members_table(outcome: EnsembleOutcome) -> Table:
    """Return one row a member; of more than 12 the best, the mean of all and the worst."""
    ranked = best_first(outcome)
    split = outcome.comparison.split if outcome.comparison else ""
    columns = list(dict.fromkeys(name for member in ranked for name in member.figures))
    scored = any(member.score is not None for member in ranked)
    partly = any(not member.used for member in ranked)
    table = plain_table()
    table.add_column("member", overflow="fold")
    if partly:
        table.add_column("used")
    table.add_column("epoch", justify="right")
    if scored:
        table.add_column(outcome.monitor, justify="right")
    for name in columns:
        table.add_column(f"{split}\n{name}".strip(), justify="right", vertical="bottom")

    def add(name: str, used: str, epoch: str, score: float | None, figures: Mapping[str, float], style: str) -> None:
        cells = [score_of(score) if used else ""] if scored else []
        cells += [score_of(figures[column]) if column in figures else "" for column in columns]
        table.add_row(name, *([used] if partly else []), epoch, *cells, style=style)

    names = member_names(outcome.members)
    if len(outcome.members) <= ROWS:
        shown = [(names[member.identity], member) for member in outcome.members]
    else:
        shown = [(f"best: {names[ranked[0].identity]}", ranked[0])] if ranked else []
    for name, member in shown:
        used = "yes" if member.used else "no"
        if member.failure is not None:
            add(name, "", "failed", None, {}, "red")
        else:
            add(name, used, _epoch(member), member.score, member.figures, "" if member.used else "dim")
    if len(outcome.members) > ROWS and ranked:
        counted = [member for member in ranked if member.figures] or ranked
        means = {name: _mean(member.figures.get(name) for member in counted) for name in columns}
        add(f"mean of {len(counted)}", " ", "", _mean(member.score for member in counted), means, "bold")
        last = ranked[-1]
        used = "yes" if last.used else "no"
        add(f"worst: {names[last.identity]}", used, _epoch(last), last.score, last.figures, "")
    return table


def _epoch(member: EnsembleMember) -> str:
    if not member.epoch:
        return ""
    return f"{member.epoch} of {member.epochs}" if member.epochs else str(member.epoch)


def _mean(values: Iterable[float | None]) -> float:
    """The mean of those that are known; NaN where none is."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    return statistics.fmean(known) if known else math.nan
