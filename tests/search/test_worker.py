import errno
import json
import os
import shutil
import time

import pytest

from dlcli.builtin.searches.grid import Grid
from dlcli.builtin.searches.random import Random
from dlcli.contracts.search import Choice
from dlcli.errors import DataError, Interrupted, StorageError, TrainingError
from dlcli.search.budget import Budget
from dlcli.search.claims import FileClock, take
from dlcli.search.joining import extend
from dlcli.search.search_file import SearchFile
from dlcli.search.trials import TrialOutcome


def results(state):
    """All of a search but its times."""
    return [
        (each.number, each.stage, each.setting, each.state, each.fold_scores, each.score, each.epochs)
        for _, each in sorted(state.trials.items())
    ]


def folders(directory):
    return sorted(path.name for path in (directory / "populations").iterdir())


def test_a_search_runs_its_budget(toy, tmp_path):
    toy.make(tmp_path, trials=10)
    watch = toy.Silent()
    state = toy.go(tmp_path, watch=watch)
    assert len(state.ranked()) == 10
    assert [len(population.trials) for population in state.populations] == [4, 4, 2]
    assert watch.started == watch.finished == [0, 1, 2]
    assert len(watch.reported) == 30
    assert watch.notes == []
    best = state.ranked()[0]
    assert best.score == min(toy.score(trial.setting, 0, 3) for trial in state.trials.values())
    assert folders(tmp_path) == ["0000", "0001", "0002"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "populations", "search.alive", "search.journal", "search.json", "stages",
    ]  # fmt: skip


def test_the_same_command_again_changes_nothing_and_more_trials_extend(toy, tmp_path):
    toy.make(tmp_path, trials=10)
    first = results(toy.go(tmp_path))
    again = toy.Silent()
    assert results(toy.go(tmp_path, watch=again)) == first
    assert again.started == []
    extend(tmp_path, Budget(15))
    state = toy.go(tmp_path, watch=again)
    assert results(state)[:10] == first
    assert [len(population.trials) for population in state.populations] == [4, 4, 2, 4, 1]


def test_with_folds_the_survivors_go_on_and_the_others_are_raced_out(toy, tmp_path, load):
    toy.make(tmp_path, trials=12, folds=3)
    state = toy.go(tmp_path)
    shapes = [(each.fold, each.after, len(each.trials)) for each in state.populations]
    # Nobody to race against after the first fold; the best of those together after the second.
    assert shapes[:3] == [(0, None, 4), (1, 0, 4), (2, 1, 1)]
    assert shapes[3][:2] == (0, None)
    worst = 0.0
    for trial in state.trials.values():
        if trial.state == "finished":
            assert trial.fold_scores == tuple(toy.score(trial.setting, fold, 3) for fold in range(3))
            assert trial.score == pytest.approx(sum(trial.fold_scores) / 3)
        else:
            assert "the worst fold of trial" in trial.reason
            assert len(trial.fold_scores) < 3
            worst = max(worst, trial.score)
    assert worst > state.ranked()[0].score
    assert sum(len(each.trials) for each in state.populations) < 3 * 12
    for trial in load(tmp_path).trials:
        assert trial.intermediate_values == dict(enumerate(state.trials[trial.number].fold_scores))


def test_without_racing_every_trial_is_run_on_every_fold(toy, tmp_path):
    toy.make(tmp_path, trials=12, folds=3, racing=False)
    state = toy.go(tmp_path)
    assert {trial.state for trial in state.trials.values()} == {"finished"}
    assert {len(trial.fold_scores) for trial in state.trials.values()} == {3}


def test_halving_is_done_in_the_first_fold_only(toy, tmp_path):
    toy.make(tmp_path, trials=4, folds=2, epochs=9, halving=True)
    state = toy.go(tmp_path)
    assert [population.rungs for population in state.populations] == [(1, 3), ()]
    assert sorted(trial.epochs for trial in state.trials.values()) == [1, 1, 3, 18]
    assert [trial.state for trial in state.trials.values()].count("pruned") == 3


def test_stages_are_coarse_to_fine(toy, tmp_path, load):
    toy.make(tmp_path, trials=12, stages=3, epochs=25)
    told = []

    class Watching(toy.Even):
        def start(self, space, direction, seed, previous=()):
            told.append((space, list(previous)))
            return super().start(space, direction, seed, previous)

    state = toy.go(tmp_path, method=Watching())
    assert [(each.stage, each.epochs, len(each.trials)) for each in state.populations] == [
        (1, 1, 4),
        (2, 5, 4),
        (3, 25, 4),
    ]
    assert sorted(path.name for path in (tmp_path / "stages").iterdir()) == ["1.json", "2.json", "3.json"]
    widths = [space["x"].high - space["x"].low for space, _ in told]
    assert widths[0] > widths[1] > widths[2]
    assert told[0][1] == []
    assert told[1][1] == [(trial.setting, trial.score) for trial in state.ranked(1)]
    assert told[2][1] == [(trial.setting, trial.score) for trial in state.ranked(2)]
    assert {trial.stage for trial in state.ranked()} == {3}
    study = load(tmp_path, 3)
    assert [trial.user_attrs["trial"] for trial in study.trials] == [8, 9, 10, 11]
    assert study.user_attrs == {"dlcli_format": 1, "epochs": 25}
    extend(tmp_path, Budget(14))
    more = toy.go(tmp_path)
    assert [(each.stage, len(each.trials)) for each in more.populations][3:] == [(3, 2)]


def test_the_method_is_told_everything_once(toy, tmp_path):
    made = []

    class Watching(toy.Even):
        def start(self, *args):
            made.append(super().start(*args))
            return made[-1]

    def value(setting, fold, epoch):
        return float("nan") if setting["x"] > 0.8 and epoch == 3 else toy.score(setting, fold, epoch)

    toy.make(tmp_path, trials=12, epochs=9, halving=True)
    state = toy.go(tmp_path, method=Watching(), run=toy.run_by(value=value))
    assert dict(made[0].told) == {trial.number: trial.score for trial in state.trials.values() if trial.number < 8}
    assert len(made[0].told) == 8
    extend(tmp_path, Budget(16))
    toy.go(tmp_path, method=Watching())
    assert sorted(number for number, _ in made[1].told) == list(range(12))
    assert made[1].waiting == []


def test_a_grid_ends_when_everything_was_tried(toy, tmp_path):
    space = {"x": Choice((0.1, 0.2, 0.3)), "y": Choice((0.5, 0.6))}
    toy.make(tmp_path, trials=100, space=space)
    state = toy.go(tmp_path, method=Grid())
    assert [len(each.trials) for each in state.populations] == [4, 2]
    assert len({json.dumps(trial.setting) for trial in state.trials.values()}) == 6


def test_time_limits_what_is_begun_and_goes_on_counting_after_a_restart(toy, tmp_path):
    toy.make(tmp_path, trials=None, minutes=0.6 / 60, epochs=2)
    state = toy.go(tmp_path, run=toy.run_by(0.05))
    seconds = SearchFile(tmp_path).read().seconds
    assert 0.6 <= seconds < 3
    assert len(state.ranked()) == len(state.trials) > 0
    time.sleep(1.5)
    watch = toy.Silent()
    toy.go(tmp_path, watch=watch)
    assert watch.started == []
    assert SearchFile(tmp_path).read().seconds < seconds + 1  # the time between does not count
    extend(tmp_path, Budget(None, (seconds + 1) / 60))
    toy.go(tmp_path, run=toy.run_by(0.05), watch=watch)
    assert watch.started


def test_however_little_time_there_is_something_is_tried(toy, tmp_path):
    toy.make(tmp_path, trials=None, minutes=1e-9, stages=2)
    state = toy.go(tmp_path)
    assert [(each.stage, len(each.trials)) for each in state.populations] == [(1, 4), (2, 4)]


def test_stopped_by_the_user_it_goes_on_where_it_was(toy, tmp_path):
    toy.make(tmp_path, trials=8)
    watch = toy.Silent()
    original = watch.trial_reported

    def stop(number, epoch, value):
        original(number, epoch, value)
        watch.stop = number in (4, 5, 6, 7) and epoch == 2

    watch.trial_reported = stop
    with pytest.raises(Interrupted, match="the search was stopped and its state saved; the same command goes on"):
        toy.go(tmp_path, watch=watch)
    assert not (tmp_path / "populations/0001/lease").exists()
    state = toy.go(tmp_path)
    assert [line.split()[-1] for line in (tmp_path / "populations/0001/runs.txt").read_text().splitlines()] == [
        "0",
        "2",
    ]
    other = tmp_path / "other"
    other.mkdir()
    toy.make(other, trials=8)
    assert results(state) == results(toy.go(other))


def test_a_failing_population_fails_its_trials_with_the_reason(toy, tmp_path, load):
    run, calls = toy.run_by(), []

    def sometimes(population, report):
        calls.append(population.number)
        if population.number == 1:
            raise TrainingError("out of memory: 12 GB asked for")
        return run(population, report)

    toy.make(tmp_path, trials=12)
    state = toy.go(tmp_path, run=sometimes)
    assert calls == [0, 1, 2]
    assert [trial.state for trial in state.of_stage(1)] == ["finished"] * 4 + ["failed"] * 4 + ["finished"] * 4
    assert state.trials[5].reason == "out of memory: 12 GB asked for"
    trials = load(tmp_path).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 4 + ["FAIL"] * 4 + ["COMPLETE"] * 4
    assert trials[4].user_attrs["reason"] == "out of memory: 12 GB asked for"
    assert trials[4].values is None


def test_when_trials_keep_failing_it_stops_and_says_why(toy, tmp_path):
    def fail(population, report):
        return [
            TrialOutcome(number, None, 1, 0, reason="the loss became NaN in epoch 1") for number, _ in population.trials
        ]

    toy.make(tmp_path, trials=100)
    with pytest.raises(
        TrainingError, match=r"stopped: all 8 trials failed, most often \(8 of 8\) because: the loss became"
    ):
        toy.go(tmp_path, run=fail)
    assert folders(tmp_path) == ["0000", "0001"]
    assert len(toy.go(tmp_path).ranked()) == 92  # what made them fail was mended


def test_a_search_without_any_finished_trial_says_so(toy, tmp_path):
    toy.make(tmp_path, trials=2)
    with pytest.raises(
        TrainingError, match=r"none of its 2 trials finished, most often \(2 of 2\) because: its score is nan"
    ):
        toy.go(tmp_path, run=toy.run_by(value=lambda *_: float("nan")))


def test_a_stage_without_any_finished_trial_is_noted(toy, tmp_path):
    def run(population, report):
        if population.stage == 2:
            raise TrainingError("diverged")
        return toy.run_by()(population, report)

    toy.make(tmp_path, trials=4, stages=2)
    watch = toy.Silent()
    assert toy.go(tmp_path, run=run, watch=watch).ranked()[0].stage == 1
    assert watch.notes == ["no trial of stage 2 finished, so the best trial is one of stage 1"]


def test_other_errors_leave_the_population_to_be_taken_up(toy, tmp_path):
    def broken(population, report):
        raise DataError("data.h5 is damaged")

    toy.make(tmp_path, trials=4)
    with pytest.raises(DataError, match=r"data\.h5 is damaged"):
        toy.go(tmp_path, run=broken)
    assert sorted(path.name for path in (tmp_path / "populations/0000").iterdir()) == ["plan.json"]
    assert len(toy.go(tmp_path).ranked()) == 4


def test_a_population_that_kills_its_workers_fails_after_five(toy, tmp_path):
    toy.make(tmp_path, trials=8)
    with pytest.raises(DataError):
        toy.go(tmp_path, run=lambda *_: (_ for _ in ()).throw(DataError("stop")))
    clock = FileClock(tmp_path / "search.alive")
    for _ in range(5):
        lease = tmp_path / "populations/0000/lease"
        take(lease, clock, 100)
        past = clock.now() - 100
        os.utime(lease / "holder.json", (past, past))
        take(lease, clock, 1, keep="lease-lost-").release()
    state = toy.go(tmp_path)
    assert state.trials[0].reason == "5 workers died while they trained its population: is memory short?"
    assert [trial.state for trial in state.of_stage(1)] == ["failed"] * 4 + ["finished"] * 4


def test_who_lost_its_lease_stops_without_a_result(toy, tmp_path):
    toy.make(tmp_path, trials=4)
    run, robbed = toy.run_by(), []

    def rob(population, report):
        if not robbed:
            robbed.append(population.number)
            lease = population.folder / "lease"
            shutil.rmtree(lease)  # as a reaper does
            other = take(lease, FileClock(tmp_path / "search.alive"), 100)
            try:
                while True:
                    report(0, 1, 0.5)
                    time.sleep(0.01)
            finally:
                assert not (population.folder / "result.json").exists()
                other.release()
        return run(population, report)

    watch = toy.Silent()
    state = toy.go(tmp_path, run=rob, watch=watch)
    assert watch.notes == [
        "this worker gave no sign of life for 2 s, so another took population 0 over; its work on it is dropped"
    ]
    assert len(state.ranked()) == 4


def test_a_result_is_not_recorded_by_who_lost_its_lease_at_the_last_moment(toy, tmp_path):
    toy.make(tmp_path, trials=4, lease_seconds=1000.0)
    run, other = toy.run_by(), []

    def rob(population, report):
        outcomes = run(population, report)
        if not other:
            shutil.rmtree(population.folder / "lease")
            other.append(take(population.folder / "lease", FileClock(tmp_path / "search.alive"), 1000))
        elif other[0] is not None:
            other[0].release()
        return outcomes

    watch = toy.Silent()
    original = watch.note

    def note(text):
        original(text)
        other[0].release()

    watch.note = note
    assert len(toy.go(tmp_path, run=rob, watch=watch).ranked()) == 4
    assert len(watch.notes) == 1
    assert watch.finished == [0]


@pytest.mark.parametrize("folds", [1, 3])
def test_a_kill_between_a_file_and_the_journal_is_made_good(toy, tmp_path, load, folds, monkeypatch):
    """Whatever moment a kill chooses, the next worker completes the journal, and writes nothing twice."""
    from dlcli.search.mirror import Mirror

    class Killed(BaseException):
        pass

    original, calls = Mirror.complete, [0]

    def complete(self, state):
        calls[0] += 1
        if calls[0] % 3 == 0:
            raise Killed
        original(self, state)

    toy.make(tmp_path, trials=12, folds=folds)
    monkeypatch.setattr(Mirror, "complete", complete)
    for _ in range(40):
        try:
            state = toy.go(tmp_path)
        except Killed:
            continue
        break
    assert len(state.trials) == 12
    check_journal(load(tmp_path), state)


def check_journal(study, state):
    """Compare what Optuna reads with the search's own state."""
    names = {"finished": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING"}
    trials = study.trials
    assert [trial.user_attrs["trial"] for trial in trials] == sorted(state.trials)
    for trial in trials:
        mine = state.trials[trial.user_attrs["trial"]]
        assert trial.state.name == names[mine.state]
        assert trial.value == mine.score
        assert trial.params == pytest.approx(mine.setting)
        if mine.ended is not None:
            assert trial.user_attrs["epochs"] == mine.epochs
            assert trial.user_attrs["population"] == mine.population
            assert trial.user_attrs.get("spread") == mine.spread
            assert trial.user_attrs.get("reason") == mine.reason
            assert trial.user_attrs.get("best_epoch") == mine.best_epoch


def test_optuna_sees_the_search_as_it_was(toy, tmp_path, load):
    toy.make(tmp_path, trials=12, epochs=9, halving=True, direction="max", monitor="val_accuracy")
    state = toy.go(tmp_path, run=toy.run_by(value=lambda *args: -toy.score(*args)))
    study = load(tmp_path)
    check_journal(study, state)
    assert study.metric_names == ["val_accuracy"]
    assert study.best_trial.user_attrs["trial"] == state.ranked()[0].number
    assert study.best_trial.intermediate_values == {
        epoch: -toy.score(state.ranked()[0].setting, 0, epoch) for epoch in range(1, 10)
    }
    assert len(study.get_trials(states=[__import__("optuna").trial.TrialState.PRUNED])) == 9


def test_reports_appear_in_the_journal_while_the_population_runs(toy, tmp_path, load, monkeypatch):
    monkeypatch.setattr("dlcli.search.reporting._SPACING", 0.0)
    seen = []

    class Watch(toy.Silent):
        def trial_reported(self, number, epoch, value):
            trial = load(tmp_path).trials[number]
            seen.append((number, epoch, trial.state.name, len(trial.intermediate_values)))

    toy.make(tmp_path, trials=2)
    toy.go(tmp_path, watch=Watch())
    assert seen == [(number, epoch, "RUNNING", epoch - 1) for epoch in (1, 2, 3) for number in (0, 1)]
    assert [len(trial.intermediate_values) for trial in load(tmp_path).trials] == [3, 3]


def test_a_journal_that_was_moved_away_is_written_anew(toy, tmp_path, load):
    toy.make(tmp_path, trials=8)
    state = toy.go(tmp_path)
    (tmp_path / "search.journal").write_bytes(b"not a journal\n")
    with pytest.raises(DataError, match=r"search\.journal:1 cannot be read as a journal"):
        toy.go(tmp_path)
    assert (tmp_path / "search.journal").read_bytes() == b"not a journal\n"
    (tmp_path / "search.journal").rename(tmp_path / "moved")
    toy.go(tmp_path)
    study = load(tmp_path)
    check_journal(study, state)
    assert [len(trial.intermediate_values) for trial in study.trials] == [3] * 8


@pytest.mark.parametrize("after", range(1, 32, 3))
def test_a_full_disk_loses_nothing(toy, tmp_path, load, monkeypatch, after):
    """The disk fills after so many files; once there is space, the same command goes on to the same end."""
    from pathlib import Path

    original, written = Path.write_text, [0]

    def write_text(self, *args, **kwargs):
        written[0] += 1
        if written[0] > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, *args, **kwargs)

    search = tmp_path / "search"
    search.mkdir()
    toy.make(search, trials=12)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", write_text)
        with pytest.raises(StorageError, match="cannot write .*No space left on device; free some space"):
            toy.go(search)
    done = {path: path.read_bytes() for path in search.glob("populations/*/result.json")}
    state = toy.go(search)
    for path, content in done.items():
        assert path.read_bytes() == content
    other = tmp_path / "other"
    other.mkdir()
    toy.make(other, trials=12)
    assert results(state) == results(toy.go(other))
    check_journal(load(search), state)


def test_random_needs_only_the_number_of_a_trial(toy, tmp_path):
    sizes = {}
    for size in (1, 3, 8):
        directory = tmp_path / str(size)
        directory.mkdir()
        toy.make(directory, trials=12, population=size)
        sizes[size] = [item[:3] for item in results(toy.go(directory, method=Random()))]
    assert sizes[1] == sizes[3] == sizes[8]


def test_troubles_of_helpers_are_told(toy, tmp_path):
    class Helpers:
        def __init__(self):
            self.list = ["worker 2 ended with exit code 5"]

        def troubles(self):
            told, self.list = self.list, []
            return told

    toy.make(tmp_path, trials=8)
    watch = toy.Silent()
    toy.go(tmp_path, watch=watch, helpers=Helpers())
    assert watch.notes == ["worker 2 ended with exit code 5"]
