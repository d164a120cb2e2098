import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from dlcli.contracts.history import EpochRecord, History
from dlcli.contracts.run import RunInfo
from dlcli.report.live import LiveDisplay
from dlcli.report.plain import PlainDisplay
from dlcli.report.scoreboard import Scoreboard

RUN = RunInfo(Path("runs/digits/0003"), "train", {})
THREE = ["seed-0", "seed-1", "seed-2"]


def history(*losses, direction="min"):
    records = tuple(EpochRecord(n, 1e-3, {"val_loss": loss}, 0.5) for n, loss in enumerate(losses, 1))
    return History(records, "val_loss", direction)


def member(identity):
    return SimpleNamespace(identity=identity)


def shown(losses, order, epochs=3, direction="min"):
    """Play epochs to a display without a terminal, as an engine would; return its lines."""
    file = io.StringIO()
    with PlainDisplay(Console(file=file)) as display:
        display.run_started(RUN, epochs, "val_loss", direction, list(losses))
        for identity, epoch in order:
            past = history(*losses[identity][:epoch], direction=direction)
            display.epoch_started(member(identity), epoch, 10)
            display.epoch_finished(member(identity), past.records[-1], past)
    return file.getvalue().splitlines()


LOSSES = {"seed-0": [0.5, 0.375], "seed-1": [0.75, 0.25, 0.5], "seed-2": [1.0, 0.5, 0.25]}


def test_members_in_turn_have_a_line_each():
    order = [(name, epoch + 1) for name, losses in LOSSES.items() for epoch in range(len(losses))]
    assert shown(LOSSES, order) == [
        "runs/digits/0003: 3 members, 3 epochs at most, val_loss decides (smaller is better)",
        "seed-0  2 epochs  best val_loss 0.3750 in epoch 2  1.0 s  (1 of 3)",
        "seed-1  3 epochs  best val_loss 0.2500 in epoch 2  1.5 s  (2 of 3)",
        "seed-2  3 epochs  best val_loss 0.2500 in epoch 3  1.5 s  (3 of 3)",
    ]


def test_members_side_by_side_have_a_line_an_epoch():
    order = [(name, epoch + 1) for epoch in range(3) for name, losses in LOSSES.items() if epoch < len(losses)]
    assert shown(LOSSES, order)[1:] == [
        "epoch 1/3  3 of 3 train  val_loss mean 0.7500  best 0.5000 (seed-0)  1.5 s",
        "epoch 2/3  3 of 3 train  val_loss mean 0.3750  best 0.2500 (seed-1)  1.5 s",
        "epoch 3/3  2 of 3 train  val_loss mean 0.3750  best 0.2500 (seed-2)  1.0 s",
    ]


def test_the_last_of_a_stack_still_has_a_line_an_epoch():
    losses = {"seed-0": [0.5], "seed-1": [0.5, 0.25, 0.125]}
    order = [("seed-0", 1), ("seed-1", 1), ("seed-1", 2), ("seed-1", 3)]
    assert [line.split("  ")[:2] for line in shown(losses, order)[1:]] == [
        ["epoch 1/3", "2 of 2 train"],
        ["epoch 2/3", "1 of 2 train"],
        ["epoch 3/3", "1 of 2 train"],
    ]


def test_two_stacks_and_one_alone():
    losses = {f"seed-{number}": [0.5, 0.25] for number in range(5)}
    stacks = (["seed-0", "seed-1"], ["seed-2"], ["seed-3", "seed-4"])
    order = [(name, epoch) for stack in stacks for epoch in (1, 2) for name in stack]
    assert [line.split("  ")[:2] for line in shown(losses, order, epochs=2)[1:]] == [
        ["epoch 1/2", "2 of 5 train"],
        ["epoch 2/2", "2 of 5 train"],
        ["seed-2", "2 epochs"],
        ["epoch 1/2", "2 of 5 train"],
        ["epoch 2/2", "2 of 5 train"],
    ]


def test_larger_may_be_better():
    order = [(name, 1) for name in LOSSES]
    assert "best 1.0000 (seed-2)" in shown(LOSSES, order, direction="max")[-1]


def test_members_that_left_count_as_done():
    board = Scoreboard(["a", "b"], 10)
    assert board.share == 0
    board.epoch_finished("a", history(0.5))
    assert board.share == pytest.approx(1 / 20)
    board.epoch_started("b", 1)
    board.epoch_finished("b", history(0.5))
    board.epoch_started("b", 2)
    board.epoch_finished("b", history(0.5, 0.25))
    board.epoch_started("b", 3)
    assert board.share == pytest.approx(12 / 20)


@pytest.mark.parametrize("width", [50, 80])
def test_live_shows_how_much_is_done_and_every_score(text, width):
    with LiveDisplay(Console(file=io.StringIO(), force_terminal=True, width=width, _environ={})) as display:
        display.run_started(RUN, 3, "val_loss", "min", THREE)
        assert "0%" in text(display.picture(), width)
        for name in THREE:
            display.epoch_started(member(name), 1, 10)
            past = history(LOSSES[name][0])
            display.epoch_finished(member(name), past.records[-1], past)
        display.epoch_started(member("seed-0"), 2, 10)
        lines = text(display.picture(), width).splitlines()
    assert max(map(len, lines)) <= width
    shown_rows = "\n".join(lines)
    assert "33%" in shown_rows
    assert [line.split() for line in lines if line.startswith("seed-")] == [
        ["seed-0", "1", "0.5000", "0.5000"],
        ["seed-1", "1", "0.7500", "0.7500"],
        ["seed-2", "1", "1.0000", "1.0000"],
    ]


def test_live_shows_many_members_on_average(text):
    names = [f"seed-{number}" for number in range(40)]
    board = Scoreboard(names, 3)
    for number, name in enumerate(names):
        board.epoch_finished(name, history(1 + number))
    rows = [line.split() for line in text(board.table()).splitlines()]
    assert rows[1:] == [["mean", "of", "40", "20.50", "20.50"], ["seed-0", "1", "1.0000", "1.0000"]]
