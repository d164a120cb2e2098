"""What runs of several members look like on a console of 100 columns."""

import dataclasses
import math
from pathlib import Path

import pytest

from dlcli.experiment.runs import RunRow
from dlcli.experiment.summary import MemberSummary, PopulationSummary, Summary
from dlcli.report.population import population_view, with_spread
from dlcli.report.runs import runs_view
from dlcli.report.summary import summary_view


def lines(shown):
    return [line.rstrip() for line in shown.splitlines()]


def fold(number, accuracy, **changes):
    figures = {"train": {"accuracy": 1.0}, "held_out": {"accuracy": accuracy}}
    member = MemberSummary(f"fold-{number}", 12, 9, 9, 0.5, 1.0, figures=figures)
    return dataclasses.replace(member, **changes)


FOLDS = Summary(
    run=Path("runs/digits/0003"),
    name="digits",
    status="finished",
    best_epoch=0,
    epochs=12,
    seconds=5.61,
    monitor="val_accuracy",
    best_score=0.9,
    stopped=None,
    train=None,
    val=None,
    test={"accuracy": 0.925},
    population=PopulationSummary(
        kind="kfold",
        members=(fold(0, 0.85), fold(1, 0.95), fold(2, 0.0, figures={}, failure="the loss became nan")),
        mean={"train": {"accuracy": 1.0}, "held_out": {"accuracy": 0.9}},
        spread={"train": {"accuracy": 0.0}, "held_out": {"accuracy": 0.0707}},
        score_spread=0.0707,
        out_of_fold={"accuracy": 0.8995},
    ),
)


def test_folds(text):
    assert lines(text(summary_view(FOLDS), 100)) == [
        "run      runs/digits/0003  finished",
        "trained  3 networks, 12 epochs at most in 5.6 s",
        "score    val_accuracy 0.9000 ± 0.0707 over 2 folds",
        "",
        "                     epoch  held out accuracy  test accuracy",
        "fold-0             9 of 12             0.8500",
        "fold-1             9 of 12             0.9500",
        "fold-2              failed",
        "mean ± sd                     0.9000 ± 0.0707",
        "all held-out rows                      0.8995",
        "mean model                                            0.9250",
        "",
        "files    runs/digits/0003/oof.h5, folds.json; a fold's model is runs/digits/0003@fold-0",
        "next     dlcli evaluate runs/digits/0003 --data FILE.h5",
        "compare  dlcli runs digits --sort best",
    ]


@pytest.mark.parametrize(("count", "rows"), [(12, 12), (13, 0)])
def test_seeds_have_a_row_each_where_they_are_few(text, count, rows):
    figures = {"train": {"loss": 0.25}, "val": {"loss": 0.5}, "test": {"loss": 0.75}}
    members = tuple(MemberSummary(f"seed-{n}", 12, 9, 9, 0.5, 1.0, figures=figures) for n in range(count))
    spread = {split: {"loss": 0.0} for split in figures}
    population = PopulationSummary("seeds", members, mean=figures, spread=spread, score_spread=0.0)
    summary = dataclasses.replace(
        FOLDS, monitor="val_loss", best_score=0.5, val={"loss": 0.4375}, test={"loss": 0.625}, population=population
    )
    shown = lines(text(population_view(summary), 100))
    assert sum(line.startswith("seed-") for line in shown) == rows
    assert [line.split() for line in shown[-2:]] == [
        ["mean", "±", "sd", "0.5000", "±", "0", "0.7500", "±", "0"],
        ["mean", "model", "0.4375", "0.6250"],
    ]


def test_an_interrupted_run_has_no_figures_yet(text):
    members = tuple(dataclasses.replace(member, figures={}) for member in FOLDS.population.members)
    interrupted = dataclasses.replace(
        FOLDS, status="interrupted", best_score=None, test=None, population=PopulationSummary("kfold", members)
    )
    assert [line for line in lines(text(summary_view(interrupted))) if line] == [
        "run      runs/digits/0003  interrupted",
        "trained  3 networks, 12 epochs at most in 5.6 s",
        "go on    dlcli train --resume runs/digits/0003",
    ]


def test_a_plain_run_has_no_members():
    with pytest.raises(ValueError, match="a plain run has no members"):
        population_view(dataclasses.replace(FOLDS, population=None))


def test_what_is_not_finite_becomes_null():
    population = dataclasses.replace(FOLDS.population, score_spread=math.nan, spread={"held_out": {"loss": math.nan}})
    as_json = dataclasses.replace(FOLDS, population=population).as_json()
    assert as_json["population"]["score_spread"] is None
    assert as_json["population"]["spread"] == {"held_out": {"loss": None}}
    assert as_json["members"][2]["failure"] == "the loss became nan"
    assert as_json["members"][0]["held_out"] == {"accuracy": 0.85}


@pytest.mark.parametrize(("spread", "expected"), [(0.0123, "0.1511 ± 0.0123"), (None, "0.1511"), (math.nan, "0.1511")])
def test_spread(spread, expected):
    assert with_spread(0.1511, spread) == expected


def test_the_leaderboard_says_what_a_score_is_the_mean_of(text):
    run = Path("runs/digits/0003")
    row = RunRow(
        run, "digits", "finished", monitor="val_loss", best_score=0.25, score_spread=0.03125, members="5 folds"
    )
    assert "val_loss 0.2500 ± 0.0312 (5 folds)" in text(runs_view([row], Path("runs")), 100)
