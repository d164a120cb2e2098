import random
import warnings

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState, create_trial

from dlcli.search.importances import importances

FLOAT, CHOICE = FloatDistribution(0.0, 1.0), CategoricalDistribution(["a", "b"])


def study_of(trials, direction="minimize"):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=direction)
    study.add_trials(trials)
    return study


def trial(params, value, distributions, state=TrialState.COMPLETE):
    own = {key: distributions[key] for key in params}
    return create_trial(params=params, distributions=own, value=value, state=state)


def drawn(count, *, score, conditional=False, seed=0):
    rng = random.Random(seed)
    distributions = {"lr": FLOAT, "width": IntDistribution(1, 64, log=True), "act": CHOICE, "slope": FLOAT}
    trials = []
    for _ in range(count):
        params = {"lr": rng.random(), "width": rng.randint(1, 64), "act": rng.choice("ab")}
        if not conditional or params["act"] == "a":
            params["slope"] = rng.random()
        trials.append(trial(params, score(params), distributions))
    return trials


def test_the_key_that_decides_comes_first():
    found = importances(study_of(drawn(60, score=lambda params: (params["lr"] - 0.3) ** 2)))
    assert next(iter(found.shares)) == "lr"
    assert found.shares["lr"] > 0.5
    assert sum(found.shares.values()) == pytest.approx(1)
    assert list(found.shares.values()) == sorted(found.shares.values(), reverse=True)
    assert not found.left_out
    assert found.reason is None


def test_larger_may_be_better():
    trials = drawn(60, score=lambda params: -((params["lr"] - 0.9) ** 2))
    assert next(iter(importances(study_of(trials, "maximize")).shares)) == "lr"


def test_they_are_optunas():
    study = study_of(drawn(80, score=lambda params: params["lr"] + 0.1 * params["slope"]))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = optuna.importance.get_param_importances(study, evaluator=evaluator)
    assert importances(study).shares == pytest.approx(expected)


def test_a_conditional_key_counts_with_the_trials_that_have_it():
    def score(params):
        return params["slope"] if params["act"] == "a" else 2.0

    found = importances(study_of(drawn(60, score=score, conditional=True)))
    assert set(found.shares) == {"lr", "width", "act", "slope"}
    assert found.shares["slope"] > found.shares["lr"]


def test_what_cannot_be_told_is_left_out_with_the_reason():
    distributions = {"lr": FLOAT, "one": CategoricalDistribution(["x"]), "rare": FLOAT, "lost": FLOAT}
    trials = [trial({"lr": place / 10, "one": "x"}, place / 10, distributions) for place in range(9)]
    trials.append(trial({"lr": 1.0, "one": "x", "rare": 0.5}, 1.0, distributions))
    trials.append(trial({"lost": 0.5}, None, distributions, TrialState.FAIL))
    found = importances(study_of(trials))
    assert found.shares == {"lr": 1.0}
    assert found.left_out == {
        "one": "it can have one value only",
        "rare": "fewer than two finished trials have it",
        "lost": "fewer than two finished trials have it",
    }


@pytest.mark.parametrize(
    ("trials", "reason"),
    [
        ([], "0 finished trials, and at least 4 are needed"),
        (drawn(3, score=lambda params: params["lr"]), "3 finished trials, and at least 4 are needed"),
        (drawn(9, score=lambda params: 0.5), "all finished trials have the same score"),
        (drawn(3, score=lambda params: 0.5) + drawn(9, score=lambda params: float("inf")), "3 finished trials"),
        (
            [trial({"one": "x"}, place / 10, {"one": CategoricalDistribution(["x"])}) for place in range(9)],
            "no key has enough",
        ),
    ],
)
def test_why_there_are_none(trials, reason):
    found = importances(study_of(trials))
    assert found.reason is not None
    assert found.reason.startswith(reason)
    assert not found.shares


def test_pruned_and_failed_trials_do_not_count():
    distributions = {"lr": FLOAT}
    trials = [trial({"lr": place / 10}, 0.1 * place, distributions) for place in range(3)]
    trials += [
        trial({"lr": 0.5}, 0.7, distributions, TrialState.PRUNED),
        trial({"lr": 0.5}, None, distributions, TrialState.FAIL),
    ]
    assert importances(study_of(trials)).reason.startswith("3 finished")


def test_four_trials_are_enough():
    assert importances(study_of(drawn(4, score=lambda params: params["lr"]))).shares
