import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from dlcli.report.tune_outcome import BorderWarning, ModelScores, TuneOutcome
from dlcli.report.tune_summary import tune_summary_view
from dlcli.report.tune_view import ParameterRange, TrialRow, TuneView

RUN = Path("runs/digits/0001")
SPACE = {
    "train.optimizer.lr": ParameterRange(1e-5, 0.1, log=True),
    "model.hidden": ParameterRange(choices=((64,), (128, 128))),
    "model.dropout": ParameterRange(0.0, 0.5),
}


def row(number, score, state="finished", **facts):
    setting = {"train.optimizer.lr": 0.0981, "model.hidden": (64,), "model.dropout": 0.1}
    return TrialRow(number, state, setting, score, 0.004, (score,) * 2, 12.5, **facts)


TRIALS = (
    row(0, 0.2),
    row(1, 0.0812),
    row(2, 0.3, "pruned"),
    TrialRow(3, "failed", {}, reason="the loss is NaN"),
    TrialRow(4, "failed", {}, reason="the loss is NaN"),
)
SEARCH = TuneView(RUN, "digits", "val_loss", "min", SPACE, TRIALS, trial_budget=5, seconds=185.0, folds=2)
OUTCOME = TuneOutcome(
    SEARCH,
    "finished",
    tuned=ModelScores(0.0812, 0.004, (0.08, 0.0824), 12, {"loss": 0.0911, "accuracy": 0.9722}),
    untuned=ModelScores(0.21, 0.01, (0.2, 0.0820), 30, {"loss": 0.22, "accuracy": 0.94}),
    importances={"model.dropout": 0.75, "train.optimizer.lr": 0.25},
    importances_left_out={"model.hidden": "it can have one value only"},
    borders=(
        BorderWarning(
            "train.optimizer.lr", 0.0981, "high", 1e-5, 0.1, '"train.optimizer.lr" = { log_uniform = [1e-05, 1.0] }'
        ),
    ),
    best_recipe=RUN / "best.toml",
    pictures=(RUN / "history.svg",),
)


@pytest.fixture
def lines(text):
    return lambda outcome, width=80: [line.rstrip() for line in text(tune_summary_view(outcome), width).splitlines()]


def test_the_whole(lines):
    assert lines(OUTCOME) == [
        "run      runs/digits/0001  finished",
        "tried    5 trials in 3 min 05 s: 2 finished, 1 pruned, 2 failed",
        "best     trial 1, val_loss 0.0812 ± 0.0040 over 2 folds",
        "         train.optimizer.lr  0.0981",
        "         model.hidden        [64]",
        "         model.dropout       0.1",
        "",
        "trial  val_loss         epochs  dropout      lr  hidden",
        "    1  0.0812 ± 0.0040    12.5      0.1  0.0981  [64]",
        "    0  0.2000 ± 0.0040    12.5      0.1  0.0981  [64]",
        "",
        "failed   trials 3, 4: the loss is NaN",
        "",
        "what matters (PED-ANOVA, 2 finished trials, so a hint at most)",
        "dropout  75%  ██████████████████████████████",
        "lr       25%  ██████████",
        "left out: hidden (it can have one value only)",
        "",
        "                                untuned            tuned",
        "val_loss, over 2 folds  0.2100 ± 0.0100  0.0812 ± 0.0040  better on 1 of 2 folds",
        "loss, test                       0.2200           0.0911",
        "accuracy, test                   0.9400           0.9722",
        "epochs, final                        30               12",
        "",
        "border   train.optimizer.lr = 0.0981 is at the upper end of its range [1e-05, 0.1]; better may lie beyond.",
        "         Widen it in [tune.space]:",
        '"train.optimizer.lr" = { log_uniform = [1e-05, 1.0] }',
        "",
        "picture  runs/digits/0001/history.svg",
        "train    dlcli train runs/digits/0001/best.toml",
        "evaluate dlcli evaluate runs/digits/0001",
    ]


def test_columns_without_room_are_named(lines):
    shown = lines(OUTCOME, width=46)
    assert "trial  val_loss         epochs  dropout" in shown
    assert "no room for lr, hidden" in shown


def test_nothing_finished(lines):
    search = replace(SEARCH, trials=TRIALS[3:4], folds=1)
    outcome = TuneOutcome(search, "failed", stopped="8 trials in a row failed", importances_reason="unused")
    assert lines(outcome) == [
        "run      runs/digits/0001  failed",
        "tried    1 trial in 3 min 05 s: 1 failed",
        "stopped  8 trials in a row failed",
        "best     no trial finished",
        "",
        "failed   trial 3: the loss is NaN",
    ]


def test_an_interrupted_search_can_go_on(lines):
    outcome = TuneOutcome(
        replace(SEARCH, trials=TRIALS[:1]), "interrupted", importances_reason="1 finished trials", go_on="dlcli tune r"
    )
    assert lines(outcome)[-3:] == ["matters  no importances: 1 finished trials", "", "go on    dlcli tune r"]


def test_ten_trials_are_shown(lines):
    search = replace(SEARCH, trials=tuple(row(number, number / 10) for number in range(30)))
    shown = lines(TuneOutcome(search, "finished"))
    table = [line.split()[0] for line in shown if "±" in line and not line.startswith("best")]
    assert table == [str(number) for number in range(10)]


def test_many_reasons_of_failure_are_summed_up(lines):
    trials = tuple(TrialRow(number, "failed", {}, reason=f"cause {number}") for number in range(8))
    shown = lines(TuneOutcome(replace(SEARCH, trials=trials), "failed"))
    assert shown[-2:] == ["failed   trial 4: cause 4", "         and 3 more reasons; --json has them all"]


def test_json():
    trials = (*TRIALS, row(5, math.nan))
    found = json.loads(json.dumps(replace(OUTCOME, search=replace(SEARCH, trials=trials)).as_json(), allow_nan=False))
    assert found["trials"] == {"finished": 3, "pruned": 1, "failed": 2, "running": 0}
    assert found["best"] == found["top"][0]
    assert found["best"]["setting"] == {"train.optimizer.lr": 0.0981, "model.hidden": [64], "model.dropout": 0.1}
    assert [trial["trial"] for trial in found["top"]] == [1, 0]
    assert found["failed"] == [{"trial": number, "reason": "the loss is NaN"} for number in (3, 4)]
    assert found["tuned"]["test"] == {"loss": 0.0911, "accuracy": 0.9722}
    assert found["borders"][0]["toml"] == OUTCOME.borders[0].toml
    assert found["best_recipe"] == "runs/digits/0001/best.toml"


def test_json_of_nothing():
    found = TuneOutcome(replace(SEARCH, trials=()), "interrupted").as_json()
    assert (found["best"], found["top"], found["tuned"], found["best_recipe"]) == (None, [], None, None)


@pytest.mark.parametrize(("direction", "warned"), [("min", True), ("max", False)])
def test_a_search_that_found_nothing_better_says_so(direction, warned):
    search = TuneView(Path("runs/a/0001"), "a", "val_loss", direction, {}, [TrialRow(0, "finished", {}, 0.7)])
    outcome = TuneOutcome(search, "finished", tuned=ModelScores(0.7), untuned=ModelScores(0.6))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(tune_summary_view(outcome))
    assert ("no worse than the best setting: keep it" in console.export_text()) is warned
