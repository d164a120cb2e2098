import io
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.live import _RefreshThread

from dlcli.report import tune_live
from dlcli.report.tune_display import choose_tune_display
from dlcli.report.tune_live import LiveTuneDisplay
from dlcli.report.tune_plain import PlainTuneDisplay, QuietTuneDisplay
from dlcli.report.tune_view import ParameterRange, TrialRow, TuneView

SPACE = {"train.optimizer.lr": ParameterRange(1e-5, 1e-1, log=True), "model.hidden": ParameterRange(choices=((64,),))}


def view(*rows, **facts):
    budget = {"trial_budget": 40, "folds": 5, **facts}
    return TuneView(Path("runs/digits/0001"), "digits", "val_loss", "min", SPACE, rows, **budget)


def row(number, score, state="finished", **facts):
    setting = {"train.optimizer.lr": 0.00312, "model.hidden": (64,)}
    spread = None if score is None else 0.004
    return TrialRow(number, state, setting, score, spread, **{"epochs": 12, "seconds": 3.0, **facts})


def terminal(width=80):
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None, _environ={})


class TestChoice:
    def test_live_on_a_terminal(self):
        assert isinstance(choose_tune_display(terminal()), LiveTuneDisplay)

    def test_plain_elsewhere(self):
        assert type(choose_tune_display(Console(file=io.StringIO()))) is PlainTuneDisplay

    def test_plain_on_a_terminal_that_cannot_move_its_cursor(self):
        dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
        assert type(choose_tune_display(dumb)) is PlainTuneDisplay

    def test_quiet(self):
        assert type(choose_tune_display(terminal(), quiet=True)) is QuietTuneDisplay


def whole_search(display):
    with display:
        display.search_started(view(row(0, 0.5)))
        display.population_started([row(1, None, "running"), row(2, None, "running")], 1, 30)
        display.trial_reported(1, 1, 0.6)
        display.tick()
        display.trial_finished(row(1, 0.4))
        display.trial_finished(row(2, None, "failed", reason="the loss is NaN", epochs=None))
        display.population_finished()
        display.note("observer x failed [red]")
        display.updated(view(row(0, 0.5), row(1, 0.4), row(3, 0.45), row(4, None, "running")))
        display.finished()


def test_quiet_shows_nothing(capsys):
    whole_search(QuietTuneDisplay())
    assert capsys.readouterr() == ("", "")


class TestPlain:
    @pytest.fixture
    def lines(self):
        file = io.StringIO()
        display = PlainTuneDisplay(Console(file=file, width=20))
        return display, lambda: file.getvalue().splitlines()

    def test_one_line_a_trial(self, lines):
        display, read = lines
        whole_search(display)
        assert read() == [
            "runs/digits/0001: 40 trials at most, 5 folds, val_loss decides (smaller is better)",
            "1 trial already there",
            "trial  1  val_loss 0.4000 ± 0.0040  lr 0.00312  hidden [64]  12 epochs  3.0 s  best",
            "trial  2  failed: the loss is NaN  lr 0.00312  hidden [64]  3.0 s",
            "note: observer x failed [red]",
            "trial  3  val_loss 0.4500 ± 0.0040  lr 0.00312  hidden [64]  12 epochs  3.0 s",
        ]

    def test_a_search_in_stages_limited_by_time(self, lines):
        display, read = lines
        display.search_started(view(trial_budget=None, seconds_budget=600, stages=3, folds=1))
        display.trial_finished(row(7, 0.5, "pruned", reason="worse than others", stage=2, epochs=1))
        assert read() == [
            "runs/digits/0001: 10 min 00 s at most, 3 stages, val_loss decides (smaller is better)",
            "trial 7  stage 2  pruned: worse than others  val_loss 0.5000 ± 0.0040  lr 0.00312  hidden [64]  "
            "1 epoch  3.0 s",
        ]

    def test_a_trial_is_written_once(self, lines):
        display, read = lines
        display.search_started(view())
        display.trial_finished(row(1, 0.4))
        display.trial_finished(row(1, 0.4))
        assert len(read()) == 2


class TestLive:
    @pytest.fixture
    def clock(self, monkeypatch):
        clock = SimpleNamespace(now=1000.0)
        monkeypatch.setattr(tune_live, "time", SimpleNamespace(monotonic=lambda: clock.now))
        return clock

    @pytest.fixture
    def display(self, clock):
        with LiveTuneDisplay(terminal()) as display:
            display.search_started(view(row(0, 0.5), row(1, 0.3, "pruned"), seconds=60))
            yield display

    def test_the_picture_has_all_that_matters(self, display, clock, text):
        display.population_started([row(number, None, "running") for number in (2, 3, 4, 5)], 2, 30)
        display.trial_reported(2, 3, 0.5)
        clock.now += 30
        display.trial_finished(row(2, 0.08))
        display.trial_finished(row(3, None, "failed", reason="no"))
        shown = [line.rstrip() for line in text(display.picture()).replace("\u00a0", " ").splitlines()]
        assert shown.pop(1).split() == ["trials", "4/40", "━━━", "4.0", "trials/min", "9", "min", "00", "s", "left"]
        assert shown == [
            "runs/digits/0001  1 min 30 s",
            "        2 finished  2 running  1 pruned  1 failed",
            "now     fold 2 of 5  epoch 3 of 30  2 together",
            "best    trial 2  val_loss 0.0800 ± 0.0040",
            "        lr 0.00312  hidden [64]",
            "        █▁  0.5000 → 0.0800",
            "",
            "trial  val_loss         epochs       lr  hidden",
            "    2  0.0800 ± 0.0040      12  0.00312  [64]",
            "    0  0.5000 ± 0.0040      12  0.00312  [64]",
        ]

    def test_five_trials_are_shown(self, display, text):
        for number in range(2, 12):
            display.trial_finished(row(number, number / 100))
        lines = text(display.picture()).splitlines()
        assert [line.split()[0] for line in lines[-5:]] == ["2", "3", "4", "5", "6"]

    @pytest.mark.parametrize("width", [40, 60, 120])
    def test_no_line_is_wider_than_the_terminal(self, display, text, width):
        display._console.width = width
        display.population_started([row(2, None, "running")], 1, 30)
        display.trial_finished(row(3, 0.1))
        assert max(map(len, text(display.picture(), width).splitlines())) <= width

    def test_before_anything_is_known(self, clock, text):
        with LiveTuneDisplay(terminal()) as display:
            assert text(display.picture()) == "\n"
            display.search_started(view())
            assert "0/40" in text(display.picture())
            assert "left" not in text(display.picture())

    def test_trials_of_other_workers(self, display, text):
        display.updated(view(row(0, 0.5), row(8, 0.25), row(9, None, "running")))
        assert "best    trial 8" in text(display.picture())
        assert "2\u00a0finished  1\u00a0running" in text(display.picture())

    def test_it_is_drawn_five_times_a_second_at_most(self, display, clock):
        drawn = []
        display._live.update = lambda picture, refresh: drawn.append(clock.now)
        for step in range(1000):
            clock.now += 0.01
            display.trial_reported(2, step, 0.5) if step % 3 else display.tick()
        assert 45 <= len(drawn) <= 51

    def test_it_starts_no_thread(self, display):
        assert not [thread for thread in threading.enumerate() if isinstance(thread, _RefreshThread)]

    def test_notes_are_printed_above_the_picture(self, display):
        display.note("observer x failed [red]")
        assert "note: observer x failed [red]" in display._console.file.getvalue()

    def test_leaving_gives_the_cursor_back(self, clock):
        console = terminal()

        def search_and_fail():
            with LiveTuneDisplay(console) as display:
                display.search_started(view())
                raise ValueError("out of memory")

        with pytest.raises(ValueError, match="out of memory"):
            search_and_fail()
        shown = console.file.getvalue()
        assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1
