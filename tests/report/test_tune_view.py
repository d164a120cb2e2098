import math
from pathlib import Path

import pytest

from dlcli.report.tune_progress import SearchProgress
from dlcli.report.tune_view import TrialRow, TuneView, ranked, running_best


def row(number, score, state="finished", stage=1):
    return TrialRow(number, state, {}, score, stage=stage)


def view(*rows, direction="min", **facts):
    return TuneView(Path("runs/x/0001"), "x", "val_loss", direction, {}, rows, **facts)


def numbers(rows):
    return [each.number for each in rows]


ROWS = [row(0, 0.5), row(1, 0.2), row(2, 0.1, "pruned"), row(3, None, "failed"), row(4, 0.9), row(5, 0.2)]


@pytest.mark.parametrize(("direction", "order"), [("min", [1, 5, 0, 4]), ("max", [4, 0, 1, 5])])
def test_finished_trials_are_ranked(direction, order):
    assert numbers(ranked(ROWS, direction)) == order
    assert view(*ROWS, direction=direction).best.number == order[0]


def test_scores_that_are_no_numbers_are_not_ranked():
    assert ranked([row(0, math.nan), row(1, math.inf), row(2, None)], "min") == []
    assert view().best is None


def test_only_the_last_stage_that_finished_a_trial_is_ranked():
    rows = [row(0, 0.1), row(1, 0.7, stage=2), row(2, 0.6, stage=2), row(3, 0.1, "pruned", stage=3)]
    assert numbers(ranked(rows, "min")) == [2, 1]


@pytest.mark.parametrize(("direction", "best"), [("min", [0.5, 0.2, 0.2, 0.2]), ("max", [0.5, 0.5, 0.9, 0.9])])
def test_the_best_so_far(direction, best):
    assert [score for _, score in running_best(ROWS, direction)] == best


def test_the_best_so_far_begins_anew_with_a_stage():
    rows = [row(0, 0.1), row(1, 0.7, stage=2), row(2, 0.6, stage=2)]
    assert [score for _, score in running_best(rows, "min")] == [0.1, 0.7, 0.6]


class TestProgress:
    def test_a_trial_ends_once(self):
        progress = SearchProgress(view(row(0, 0.5), row(1, None, "running")), 0.0)
        assert not progress.add(row(0, 0.5))
        assert not progress.add(row(2, None, "running"))
        assert progress.add(row(2, 0.4))
        assert not progress.add(row(2, None, "running"))
        assert progress.counts == {"finished": 2, "running": 1}
        assert progress.done == 2

    def test_the_curve_is_in_the_order_of_ends(self):
        progress = SearchProgress(view(row(0, None, "running")), 0.0)
        progress.add(row(1, 0.5))
        progress.add(row(0, 0.3))
        progress.add(row(2, 0.4))
        assert progress.curve == [0.5, 0.3, 0.3]

    def test_speed_counts_what_ended_since_the_start(self):
        progress = SearchProgress(view(*ROWS, trial_budget=12, seconds=300), 100.0)
        assert progress.per_minute(110.0) is None
        assert progress.seconds_left(110.0) is None
        progress.add(row(6, 0.5))
        progress.add(row(7, None, "failed"))
        assert progress.per_minute(130.0) == pytest.approx(4)
        assert progress.seconds(130.0) == 330
        assert progress.seconds_left(130.0) == pytest.approx(60)  # 4 of 12 are left

    @pytest.mark.parametrize(("budget", "left"), [(400, 70), (10_000, 60), (100, 0)])
    def test_the_budget_that_ends_first_counts(self, budget, left):
        progress = SearchProgress(view(*ROWS, trial_budget=12, seconds_budget=budget, seconds=300), 100.0)
        assert progress.seconds_left(130.0) == max(budget - 330, 0)
        progress.add(row(6, 0.5))
        progress.add(row(7, 0.5))
        assert progress.seconds_left(130.0) == pytest.approx(min(left, 60))

    def test_a_snapshot_is_in_order_of_numbers(self):
        progress = SearchProgress(view(row(1, 0.5)), 0.0)
        progress.add(row(0, 0.1))
        shot = progress.snapshot(8.0)
        assert numbers(shot.trials) == [0, 1]
        assert shot.seconds == 8
