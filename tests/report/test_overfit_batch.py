import io
from dataclasses import replace

from rich.console import Console

from dlcli.experiment.overfit_batch import OverfitBatch
from dlcli.experiment.overfitting.attempt import Attempt
from dlcli.report.overfit_batch import overfit_batch_view, verdict
from dlcli.report.overfit_batch_progress import OverfitBatchProgress

REACHED = Attempt("adam", 0.001, (2.5, 1.0, 0.02), 1.0, 0.4, True, "learnt", False)
FAILED = replace(REACHED, losses=(2.5, 2.4, 2.3, 2.35), accuracy=0.499, reached=False, ended="after 3 steps, the most")
FOUND = OverfitBatch(
    name="digits",
    loss="cross_entropy",
    rows=64,
    parameters=26122,
    first=2.5,
    floor=0.0,
    blind=2.3,
    goal=0.023,
    reached=True,
    attempts=(REACHED,),
    switched_off=("dropout in 2 layers", "mixup", "the schedule cosine"),
    causes=(),
    notes=("something",),
)


def test_a_batch_that_was_learnt(text):
    shown = text(overfit_batch_view(FOUND), 120)
    assert "recipe   digits, 26,122 trained parameters" in shown
    assert "64 rows, cross_entropy 2.5000 before any step" in shown
    assert "dropout in 2 layers, mixup, the schedule cosine" in shown
    assert "loss 0.0230: from 0 1 % of the way to 2.3000, that of blind answers" in shown
    assert "learnt: loss 2.5000 → 0.0200 in 2 steps, 0.4 s, 100 % of the batch right" in shown
    assert "something" in shown
    assert "cause" not in shown


def test_a_batch_that_was_not_learnt_and_why(text):
    found = replace(FOUND, reached=False, attempts=(FAILED,), causes=("learning rate: too low", "dead units: all"))
    shown = text(overfit_batch_view(found), 120)
    assert "not learnt: loss 2.5000 → 2.3000 in 3 steps, 0.4 s, not 0.0230, 49.9 % of the batch right" in shown
    assert shown.index("cause    learning rate: too low") < shown.index("or       dead units: all")
    unknown = text(overfit_batch_view(replace(found, causes=())), 120)
    assert "cause    none of those that are looked for" in unknown


def test_almost_all_right_is_not_all():
    found = replace(FOUND, attempts=(replace(REACHED, accuracy=0.99999),))
    assert "99.9 % of the batch right" in verdict(found)


def test_the_best_attempt_is_told_and_diverged_ones_have_no_share(text):
    diverged = replace(FAILED, losses=(2.5, float("nan")), optimizer="sgd", ended="the loss became nan")
    found = replace(FOUND, attempts=(diverged, REACHED))
    assert found.best is REACHED
    shown = text(overfit_batch_view(found), 120)
    assert "sgd, the recipe's" in shown
    assert "the loss became nan" in shown
    assert shown.count("100 %") == 2


def test_a_floor_that_is_not_zero_is_told(text):
    assert "from 0.3200, the loss of the best answers, 1 % of" in text(
        overfit_batch_view(replace(FOUND, floor=0.32, goal=0.34)), 120
    )


def test_the_bar_is_drawn_on_a_terminal_alone():
    for terminal in (True, False):
        file = io.StringIO()
        with OverfitBatchProgress(Console(file=file, force_terminal=terminal, width=80)) as progress:
            progress("adam 0.001", 3, 500, 1.25)
        assert ("3/500" in file.getvalue()) is terminal
        assert ("loss 1.2500" in file.getvalue()) is terminal
    file = io.StringIO()
    with OverfitBatchProgress(Console(file=file, force_terminal=True), quiet=True) as progress:
        progress("adam 0.001", 3, 500, 1.25)
    assert not file.getvalue()
