import io
import math
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.live import _RefreshThread

from dlcli.contracts.history import EpochRecord, History
from dlcli.contracts.run import RunInfo
from dlcli.report import ensemble_live, ensemble_plain
from dlcli.report.ensemble_display import choose_ensemble_display
from dlcli.report.ensemble_live import LiveEnsembleDisplay
from dlcli.report.ensemble_plain import PlainEnsembleDisplay, QuietEnsembleDisplay

RUN = RunInfo(Path("runs/digits/0003"), "ensemble", {})
HEAD = "runs/digits/0003: 3 epochs at most, val_loss decides (smaller is better)"
LOSSES = {"bag-0": [0.5, 0.375], "bag-1": [0.75, 0.25, 0.5], "bag-2": [1.0, 0.5, 0.25]}
NAN = float("nan")


def history(*losses, direction="min"):
    records = tuple(EpochRecord(n, 1e-3, {"val_loss": loss}, 0.5) for n, loss in enumerate(losses, 1))
    return History(records, "val_loss", direction)


def terminal(width=80):
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None, _environ={})


def start(display, direction="min"):
    display.run_started(RUN, 3, "val_loss", direction)


def train(display, losses, *, together, number=1, direction="min"):
    """Play a round to a display, as an engine would."""
    display.round_started(number, list(losses), 3)
    order = [(name, epoch) for name, own in losses.items() for epoch in range(1, len(own) + 1)]
    for name, epoch in sorted(order, key=lambda step: step[1]) if together else order:
        past = history(*losses[name][:epoch], direction=direction)
        display.epoch_started(SimpleNamespace(identity=name), epoch, 10)
        display.step_finished(1, 0.5, 1e-3)
        display.epoch_finished(SimpleNamespace(identity=name), past.records[-1], past)


def finish(display, losses, scores):
    for name, own in losses.items():
        display.member_finished(name, min(own))
    for members, score in enumerate(scores, 1):
        display.reached(members, score)


class TestChoice:
    def test_live_on_a_terminal(self):
        assert isinstance(choose_ensemble_display(terminal()), LiveEnsembleDisplay)

    def test_plain_elsewhere(self):
        assert type(choose_ensemble_display(Console(file=io.StringIO()))) is PlainEnsembleDisplay

    def test_plain_on_a_terminal_that_cannot_move_its_cursor(self):
        dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
        assert type(choose_ensemble_display(dumb)) is PlainEnsembleDisplay

    def test_quiet(self):
        assert type(choose_ensemble_display(terminal(), quiet=True)) is QuietEnsembleDisplay


def test_quiet_shows_nothing(capsys):
    with QuietEnsembleDisplay() as display:
        start(display)
        train(display, LOSSES, together=True)
        finish(display, LOSSES, [0.2, 0.1])
        display.note("something")
    assert capsys.readouterr() == ("", "")


class TestPlain:
    @pytest.fixture
    def shown(self):
        file = io.StringIO()
        display = PlainEnsembleDisplay(Console(file=file, width=20))

        def lines():
            display.__exit__(None, None, None)
            return file.getvalue().splitlines()

        with display:
            start(display)
            yield display, lines

    def test_members_side_by_side_have_a_line_an_epoch_and_one_at_the_end(self, shown):
        display, lines = shown
        train(display, LOSSES, together=True)
        finish(display, LOSSES, [0.375, 0.2, 0.2])
        assert lines() == [
            HEAD,
            "round 1: 3 members, 3 epochs at most",
            "epoch 1/3  3 of 3 train  val_loss mean 0.7500  best 0.5000 (bag-0)  1.5 s",
            "epoch 2/3  3 of 3 train  val_loss mean 0.3750  best 0.2500 (bag-1)  1.5 s",
            "epoch 3/3  2 of 3 train  val_loss mean 0.3750  best 0.2500 (bag-2)  1.0 s",
            "bag-0  val_loss 0.3750  2 epochs  1.0 s",
            "bag-1  val_loss 0.2500  3 epochs  1.5 s",
            "bag-2  val_loss 0.2500  3 epochs  1.5 s",
            "ensemble of 1  val_loss 0.3750",
            "ensemble of 2  val_loss 0.2000",
        ]

    def test_members_in_turn_have_a_line_each(self, shown):
        display, lines = shown
        train(display, LOSSES, together=False)
        finish(display, LOSSES, [])
        assert lines()[2:] == [
            "bag-0  2 epochs  best val_loss 0.3750 in epoch 2  1.0 s  (1 of 3)",
            "bag-1  3 epochs  best val_loss 0.2500 in epoch 2  1.5 s  (2 of 3)",
            "bag-2  3 epochs  best val_loss 0.2500 in epoch 3  1.5 s  (3 of 3)",
        ]

    def test_rounds_of_one_member(self, shown):
        display, lines = shown
        for number, (name, losses) in enumerate(LOSSES.items(), 1):
            train(display, {name: losses}, together=True, number=number)
            display.member_finished(name, min(losses))
            display.reached(number, 0.5 / number)
        assert lines() == [
            HEAD,
            "bag-0  val_loss 0.3750  2 epochs  1.0 s",
            "ensemble of 1  val_loss 0.5000",
            "bag-1  val_loss 0.2500  3 epochs  1.5 s",
            "ensemble of 2  val_loss 0.2500",
            "bag-2  val_loss 0.2500  3 epochs  1.5 s",
            "ensemble of 3  val_loss 0.1667",
        ]

    def test_a_member_that_trains_alone_for_long_is_heard_of(self, shown, monkeypatch):
        display, lines = shown
        clock = SimpleNamespace(now=1000.0)

        def tick():
            clock.now += 6.0
            return clock.now

        monkeypatch.setattr(ensemble_plain, "time", SimpleNamespace(monotonic=tick))
        display._last_line = clock.now
        train(display, {"bag-1": LOSSES["bag-1"]}, together=False)
        assert lines()[1:] == ["bag-1  epoch 3/3  val_loss 0.5000  best 0.2500"]

    def test_of_a_large_burst_the_best_are_shown_and_the_last_score(self, shown):
        display, lines = shown
        losses = {f"bag-{number}": [1.0 - number / 100] for number in range(40)}
        train(display, losses, together=True)
        finish(display, losses, [0.5 - number / 100 for number in range(40)])
        told = lines()[3:]
        assert told[0] == "bag-39  val_loss 0.6100  1 epoch  0.5 s"
        assert told[8:] == [
            "bag-31  val_loss 0.6900  1 epoch  0.5 s",
            "and 31 more  val_loss from 0.7000 to 1.0000",
            "ensemble of 40  val_loss 0.1100",
        ]

    def test_the_best_of_a_burst_are_the_largest_where_larger_is_better(self):
        file = io.StringIO()
        with PlainEnsembleDisplay(Console(file=file)) as display:
            start(display, "max")
            for number in range(11):
                display.member_finished(f"m-{number}", NAN if number == 5 else 1 + number / 100)
        assert file.getvalue().splitlines()[1] == "m-10  val_loss 1.1000"
        assert file.getvalue().splitlines()[-1] == "and 2 more  val_loss from 1.0000 to 1.0000"

    def test_rounds_that_are_only_read_again_are_one_burst(self, shown):
        display, lines = shown
        for number in range(1, 21):
            display.round_started(number, [f"m-{number}"], 3)
            display.member_finished(f"m-{number}", 1 / number)
            display.reached(number, 1 / number)
        told = lines()
        assert len(told) == 12
        assert told[-2:] == ["and 11 more  val_loss from 0.0909 to 1.0000", "ensemble of 20  val_loss 0.0500"]

    def test_without_validation_rows(self, shown):
        display, lines = shown
        train(display, {"bag-0": [0.5]}, together=True)
        display.member_finished("bag-0", NAN)
        display.member_finished("bag-0-epoch-0001", NAN)
        display.reached(1, NAN)
        assert lines()[1:] == ["bag-0             1 epoch  0.5 s", "bag-0-epoch-0001  done"]

    def test_notes_come_after_what_is_due(self, shown):
        display, lines = shown
        display.member_finished("a", 0.5)
        display.note("observer x failed [red]")
        assert lines()[1:] == ["a  val_loss 0.5000", "note: observer x failed [red]"]


class TestLive:
    @pytest.fixture
    def clock(self, monkeypatch):
        clock = SimpleNamespace(now=1000.0)
        monkeypatch.setattr(ensemble_live, "time", SimpleNamespace(monotonic=lambda: clock.now))
        return clock

    @pytest.fixture
    def display(self, clock):
        with LiveEnsembleDisplay(terminal()) as display:
            start(display)
            yield display

    @pytest.fixture
    def rows(self, display, text):
        """Cells of the table of members, by member."""

        def read():
            lines = text(display.picture()).splitlines()
            table = lines[next(place for place, line in enumerate(lines) if line.startswith("member")) + 1 :]
            return [line.rstrip() for line in table[: (table + [""]).index("")]]

        return read

    def test_the_picture_has_all_that_matters(self, display, clock, text):
        train(display, LOSSES, together=True)
        finish(display, LOSSES, [0.375, 0.2, 0.125])
        display.round_started(2, ["late"], 3)
        clock.now += 1
        past = history(0.5, 0.75)
        for record in past.records:
            display.epoch_started(SimpleNamespace(identity="late"), record.epoch, 20)
            display.epoch_finished(
                SimpleNamespace(identity="late"), record, History(past.records[: record.epoch], "val_loss", "min")
            )
        display.epoch_started(SimpleNamespace(identity="late"), 3, 20)
        clock.now += 1
        display.step_finished(10, 0.3125, 1e-3)
        shown = [line.rstrip() for line in text(display.picture()).splitlines()]
        bars = [line.replace("━", "").replace("╸", "").split() for line in shown[1:4]]
        assert bars == [
            ["round", "2", "1", "member", "1.0", "s", "left"],
            ["epoch", "3/3"],
            ["batch", "10/20", "loss", "0.3125"],
        ]
        assert [shown[0], *shown[4:]] == [
            "runs/digits/0003  2.0 s",
            "",
            "member  epoch  val_loss    best",
            "bag-0    done    0.3750  0.3750",
            "bag-1    done    0.2500  0.2500",
            "bag-2    done    0.2500  0.2500",
            "late        2    0.7500  0.5000",
            "",
            "ensemble of 3: val_loss 0.1250  best member 0.2500  █▃▁",
        ]

    def test_of_many_the_best_and_the_mean_are_shown(self, display, rows):
        losses = {f"bag-{number}": [1.0, 0.5 - number / 100] for number in range(20)}
        train(display, losses, together=True)
        assert rows() == [
            "bag-19                   2    0.3100  0.3100",
            "mean of 20 training           0.4050  0.4050",
        ]
        finish(display, losses, [])
        train(display, {"late": [0.5]}, together=True, number=2)
        assert rows() == [
            "bag-19            done    0.3100  0.3100",
            "mean of 20 done           0.4050  0.4050",
            "late                 1    0.5000  0.5000",
        ]

    def test_the_largest_is_best_where_larger_is_better(self, clock, text):
        with LiveEnsembleDisplay(terminal()) as display:
            start(display, "max")
            for number in range(13):
                display.member_finished(f"m-{number}", number / 100)
            shown = text(display.picture())
        assert "m-12" in shown
        assert "mean of 13 done" in shown

    def test_kept_states_take_the_place_of_their_member(self, display, rows):
        train(display, {"cycle": [0.5, 0.25]}, together=True)
        display.member_finished("cycle-epoch-0001", 0.5)
        display.member_finished("cycle-epoch-0002", 0.25)
        assert [line.split()[0] for line in rows()] == ["cycle-epoch-0001", "cycle-epoch-0002"]

    def test_without_validation_rows(self, display, rows, text):
        display.member_finished("a", NAN)
        display.reached(1, NAN)
        assert rows() == ["a        done         –     –"]
        assert "ensemble of" not in text(display.picture())

    @pytest.mark.parametrize("width", [40, 60, 120])
    def test_no_line_is_wider_than_the_terminal(self, display, text, width):
        display._console.width = width
        train(display, LOSSES, together=True)
        finish(display, LOSSES, [0.5 / number for number in range(1, 60)])
        assert max(map(len, text(display.picture(), width).splitlines())) <= width

    def test_before_anything_is_known(self, display, text):
        assert text(display.picture()) == "runs/digits/0003  0.0 s\n"
        display.round_started(1, ["a"], 3)
        assert "0/3" in text(display.picture())
        assert "left" not in text(display.picture())

    def test_it_is_drawn_five_times_a_second_at_most_and_the_loss_read_only_then(self, display, clock):
        class Loss:
            read = 0

            def __float__(self):
                Loss.read += 1
                return 0.5

        drawn = []
        display._live.update = lambda picture, refresh: drawn.append(clock.now)
        for step in range(1000):
            clock.now += 0.01
            display.step_finished(step, Loss(), 1e-3)
        assert 45 <= len(drawn) <= 51
        assert Loss.read == len(drawn)

    def test_it_starts_no_thread(self, display):
        assert not [thread for thread in threading.enumerate() if isinstance(thread, _RefreshThread)]

    def test_notes_are_printed_above_the_picture(self, display):
        display.note("observer x failed [red]")
        assert "note: observer x failed [red]" in display._console.file.getvalue()

    def test_leaving_gives_the_cursor_back(self, clock):
        console = terminal()

        def train_and_fail():
            with LiveEnsembleDisplay(console) as display:
                start(display)
                raise ValueError("diverged")

        with pytest.raises(ValueError, match="diverged"):
            train_and_fail()
        shown = console.file.getvalue()
        assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1


def test_scores_that_are_no_number_come_last():
    assert math.isnan(sorted([NAN, 0.5, 0.25], key=ensemble_plain.EnsembleProgress("val_loss", "min").rank)[-1])
