"""The result of a setting depends on nothing but the recipe: not on workers, companions or engines."""

import json

import pytest
import torch
from searches import facts

from dlcli.experiment.fold_file import read_folds
from dlcli.experiment.run_directory import RunDirectory
from dlcli.experiment.tune import tune
from dlcli.experiment.tuning.trials import TrialRunner

SPACE = {
    "train.optimizer.lr": {"log_uniform": [1e-3, 1e-1]},
    "model.dropout": {"uniform": [0.0, 0.5]},
    "model.hidden": {"choice": [[8], [4, 4]]},
}


def scores(outcome):
    """Setting and scores of each trial, a fold or one split, whatever became of it."""
    return {row.number: (row.setting, row.state, row.score) for row in outcome.search.trials}


@pytest.mark.parametrize("population", [1, 3])
@pytest.mark.parametrize("options", [{}, {"kfold": 2}], ids=["split", "folds"])
def test_companions_change_nothing_beyond_rounding(folder, tunable, plugins, population, options):
    sections = {"trials": 6, "halving": False}
    together = tune(
        tunable(SPACE, **sections, population=6), method="random", name="together", plugins=plugins, **options
    )
    other = tune(
        tunable(SPACE, **sections, population=population), method="random", name="other", plugins=plugins, **options
    )
    for first, second in zip(together.search.trials, other.search.trials, strict=True):
        assert first.setting == second.setting
        # A trial that was raced out earlier has a mean over fewer folds.
        for one, two in zip(first.fold_scores, second.fold_scores, strict=False):
            assert one == pytest.approx(two, rel=1e-4)


def test_engines_agree(folder, tunable, plugins):
    sections = {"trials": 6, "halving": False}
    found = [
        tune(tunable(SPACE, **sections), method="random", engine=engine, name=engine, plugins=plugins)
        for engine in ("loop", "vectorized")
    ]
    for first, second in zip(*(outcome.search.trials for outcome in found), strict=True):
        assert first.score == pytest.approx(second.score, rel=1e-2)


def test_all_trials_have_the_folds_of_the_file(folder, tunable, plugins, monkeypatch):
    used = []
    member = TrialRunner.member

    def watched(self, number, setting, population):
        made = member(self, number, setting, population)
        used.append((population.fold, made.training_rows, made.validation_rows, self._problem.rounds[population.fold]))
        return made

    monkeypatch.setattr(TrialRunner, "member", watched)
    outcome = tune(tunable(SPACE, trials=3), method="random", kfold=3, plugins=plugins)
    folds = read_folds(RunDirectory(outcome.search.run).folds)
    assert {number for number, *_ in used} == {0, 1, 2}
    for number, training, validation, rows in used:
        assert torch.equal(training, folds[number].training)
        assert torch.equal(validation, folds[number].validation)
        assert torch.equal(rows.held_out, folds[number].held_out)
        assert not set(rows.held_out.tolist()) & {*training.tolist(), *validation.tolist()}


def test_the_seed_of_a_trial_is_its_own(folder, tunable, plugins):
    """Two trials of one setting differ by their randomness, and a trial of another search of that seed does not."""
    space = {"model.dropout": {"choice": [0.25, 0.250001]}}
    first = tune(tunable(space, trials=2, population=2), method="grid", plugins=plugins)
    again = tune(tunable(space, trials=2, population=2), method="grid", new=True, plugins=plugins)
    assert first.search.trials[0].score != first.search.trials[1].score
    assert scores(first) == scores(again)


def test_workers_change_no_result(folder, tunable, plugins, monkeypatch):
    """One worker that leads, and one that joins it as a process."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    recipe = tunable(SPACE, trials=12, population=2, train={"epochs": 8})
    (folder / "r.json").write_text(json.dumps(recipe))
    one = tune(recipe, method="random", name="one", plugins=plugins)
    two = tune(recipe, method="random", name="two", workers=2, plugins=plugins)
    assert scores(one).keys() == scores(two).keys()
    for number, (setting, state, score) in scores(one).items():
        assert scores(two)[number] == (setting, state, pytest.approx(score, rel=1e-6))
    assert one.tuned == two.tuned
    assert facts(one.search.run)["test"] == facts(two.search.run)["test"]
    assert (two.search.run / "workers/worker-2.log").read_text() == ""
