"""The figures of several members: each one's, their mean and spread, and those of their mean as one model."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table

from dlcli.report.figures import count_of, number
from dlcli.report.layout import line, plain_table
from dlcli.report.scoreboard import ROWS

if TYPE_CHECKING:
    from dlcli.experiment.summary import MemberSummary, Summary

NAMES = {"held_out": "held out"}


def population_view(summary: "Summary") -> RenderableType:
    """Return one row a member where there are few, then mean ± standard deviation, then the model's own figures.

    Args:
        summary: Of a run with several members.

    Returns:
        A line about the score and a table; columns are the figures of the splits that matter.
    """
    population = summary.population
    if population is None:
        raise ValueError("a plain run has no members")
    parts: list[RenderableType] = []
    if summary.best_score is not None:
        what = "fold" if population.kind == "kfold" else "seed"
        score = with_spread(summary.best_score, population.score_spread)
        counted = count_of(sum(bool(member.figures) for member in population.members), what)
        parts.append(line("score", f"{summary.monitor} {score} over {counted}"))
    if population.mean:
        parts += ["", _table(summary)]
    return Group(*parts)


def with_spread(value: float | None, spread: float | None) -> str:
    """Return a mean with its standard deviation, such as `0.1511 ± 0.0123`, or alone where that is not known."""
    known = spread is not None and math.isfinite(spread)
    return f"{number(value)} ± {number(spread)}" if known else number(value)


def _table(summary: "Summary") -> Table:
    population = summary.population
    if population is None:
        raise ValueError("a plain run has no members")
    folds = population.kind == "kfold"
    # A fold's model is judged on what it has not seen; its training figures are in run.json.
    splits = ["held_out"] if folds else [split for split in ("val", "test") if split in population.mean]
    own = {"val": summary.val, "test": summary.test}
    columns = [(split, name) for split in splits for name in population.mean[split]]
    if folds and summary.test:
        columns += [("test", name) for name in summary.test]
    table = plain_table()
    table.add_column("")
    table.add_column("epoch", justify="right")
    for split, name in columns:
        table.add_column(f"{NAMES.get(split, split)} {name}", justify="right")
    if len(population.members) <= ROWS:
        for member in population.members:
            table.add_row(member.identity, _epoch(member), *(_cell(member.figures, *column) for column in columns))
    mean = [
        with_spread(population.mean[split][name], population.spread[split][name]) if split in population.mean else ""
        for split, name in columns
    ]
    table.add_row("mean ± sd", "", *mean, style="bold")
    if population.out_of_fold:
        table.add_row(
            "all held-out rows", "", *(_cell({"held_out": population.out_of_fold}, *column) for column in columns)
        )
    if any(own.values()):
        table.add_row("mean model", "", *(_cell(own, *column) for column in columns), style="bold")
    return table


def _epoch(member: "MemberSummary") -> str:
    return "failed" if member.failure else f"{member.selected_epoch} of {member.epochs}"


def _cell(figures: Mapping[str, Mapping[str, float] | None], split: str, name: str) -> str:
    values = figures.get(split)
    return number(values[name]) if values else ""
