import io
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.live import _RefreshThread

from dlcli.contracts.history import EpochRecord, History
from dlcli.contracts.run import RunInfo
from dlcli.report import live
from dlcli.report.display import best_record, choose_display
from dlcli.report.live import LiveDisplay
from dlcli.report.plain import PlainDisplay, QuietDisplay

RUN = RunInfo(Path("runs/digits/0003"), "train", {})


def record(epoch, loss, seconds=2.0):
    return EpochRecord(epoch, 9.7e-4, {"train_loss": 0.5, "val_loss": loss, "val_accuracy": 0.875}, seconds)


def history(*losses, direction="min"):
    return History(tuple(record(number, loss) for number, loss in enumerate(losses, 1)), "val_loss", direction)


def member(identity=""):
    return SimpleNamespace(identity=identity)


class Loss:
    """Stands for a tensor on a device; counts how often it is read."""

    def __init__(self):
        self.read = 0

    def __float__(self):
        self.read += 1
        return 0.3125


def terminal(width=80):
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None, _environ={})


class TestChoice:
    def test_live_on_a_terminal(self):
        assert isinstance(choose_display(terminal()), LiveDisplay)

    def test_plain_elsewhere(self):
        assert type(choose_display(Console(file=io.StringIO()))) is PlainDisplay

    def test_plain_on_a_terminal_that_cannot_move_its_cursor(self):
        dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
        assert type(choose_display(dumb)) is PlainDisplay

    def test_quiet(self):
        assert type(choose_display(terminal(), quiet=True)) is QuietDisplay


@pytest.mark.parametrize(
    ("losses", "direction", "best"),
    [
        ((0.5, 0.25, 0.375), "min", 2),
        ((0.5, 0.25, 0.375), "max", 1),
        ((0.5, 0.5), "min", 1),
        ((float("nan"), 0.5), "min", 2),
    ],
)
def test_best_record(losses, direction, best):
    assert best_record(history(*losses, direction=direction)).epoch == best


class TestPlain:
    @pytest.fixture
    def shown(self):
        file = io.StringIO()
        display = PlainDisplay(Console(file=file, width=20))
        with display:
            yield display, file.getvalue

    def test_one_line_an_epoch(self, shown):
        display, read = shown
        display.run_started(RUN, 12, "val_loss", "min")
        losses = [0.5, 0.25, 0.375]
        for number in range(1, 4):
            display.epoch_started(member(), number, 20)
            display.step_finished(1, None, 1e-3)
            past = history(*losses[:number])
            display.epoch_finished(member(), past.records[-1], past)
        assert read().splitlines() == [
            "runs/digits/0003: 12 epochs at most, val_loss decides (smaller is better)",
            "epoch  1/12  train_loss 0.5000  val_loss 0.5000  val_accuracy 0.8750  rate 0.00097  2.0 s  best",
            "epoch  2/12  train_loss 0.5000  val_loss 0.2500  val_accuracy 0.8750  rate 0.00097  2.0 s  best",
            "epoch  3/12  train_loss 0.5000  val_loss 0.3750  val_accuracy 0.8750  rate 0.00097  2.0 s",
        ]

    def test_notes(self, shown):
        display, read = shown
        display.note("observer x failed [red]")
        assert read() == "note: observer x failed [red]\n"


def test_quiet_shows_nothing(capsys):
    with QuietDisplay() as display:
        display.run_started(RUN, 12, "val_loss", "min")
        display.epoch_started(member(), 1, 20)
        display.step_finished(1, Loss(), 1e-3)
        display.epoch_finished(member(), record(1, 0.5), history(0.5))
        display.note("something")
        display.finished(None)
    assert capsys.readouterr() == ("", "")


class TestLive:
    @pytest.fixture
    def clock(self, monkeypatch):
        clock = SimpleNamespace(now=1000.0)
        monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: clock.now))
        return clock

    @pytest.fixture
    def display(self, clock):
        with LiveDisplay(terminal()) as display:
            display.run_started(RUN, 30, "val_loss", "min")
            yield display

    def test_the_picture_has_all_that_matters(self, display, clock, text):
        past = history(0.5, 0.25, 0.375)
        display.epoch_finished(member(), past.records[-1], past)
        display.epoch_started(member(), 4, 20)
        clock.now += 1
        display.step_finished(10, Loss(), 9.73e-4)
        shown = text(display.picture())
        assert "runs/digits/0003" in shown
        assert "epoch   4/30" in shown
        assert "batch  10/20" in shown
        assert "loss 0.3125" in shown
        assert "rate  0.000973" in shown
        assert "val_accuracy\u00a00.8750" in shown
        assert "best  val_loss 0.2500 in epoch 2" in shown
        # 26.5 epochs are left, of 2 seconds each.
        assert "53 s left" in shown
        assert max(map(len, shown.splitlines())) <= 80

    def test_the_first_epoch_tells_time_from_its_batches(self, display, clock, text):
        display.epoch_started(member(), 1, 20)
        assert "left" not in text(display.picture())
        clock.now += 5
        display.step_finished(10, Loss(), 1e-3)
        assert "4 min 55 s left" in text(display.picture())

    @pytest.mark.parametrize("width", [40, 60, 120])
    def test_no_line_is_wider_than_the_terminal(self, display, clock, text, width):
        past = history(0.5)
        display.epoch_finished(member(), past.records[-1], past)
        clock.now += 1
        display.step_finished(10, Loss(), 9.73e-4)
        assert max(map(len, text(display.picture(), width).splitlines())) <= width

    def test_the_loss_is_read_only_when_drawn(self, display, clock):
        loss = Loss()
        display.epoch_started(member(), 1, 1000)
        for step in range(1, 1001):
            clock.now += 0.001
            display.step_finished(step, loss, 1e-3)
        assert 1 <= loss.read <= 10

    def test_it_starts_no_thread(self, display):
        assert not [thread for thread in threading.enumerate() if isinstance(thread, _RefreshThread)]

    def test_notes_are_printed_above_the_picture(self, display):
        display.note("observer x failed [red]")
        assert "note: observer x failed [red]" in display._console.file.getvalue()

    def test_leaving_gives_the_cursor_back(self, clock):
        console = terminal()

        def train_and_fail():
            with LiveDisplay(console) as display:
                display.run_started(RUN, 30, "val_loss", "min")
                clock.now += 1
                display.step_finished(1, Loss(), 1e-3)
                raise ValueError("diverged")

        with pytest.raises(ValueError, match="diverged"):
            train_and_fail()
        shown = console.file.getvalue()
        assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1

    def test_finishing_takes_the_picture_down_once(self, display, clock):
        clock.now += 1
        display.step_finished(1, Loss(), 1e-3)
        display.finished(None)
        before = display._console.file.getvalue()
        clock.now += 1
        display.step_finished(2, Loss(), 1e-3)
        assert display._console.file.getvalue() == before
