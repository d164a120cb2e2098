from dlcli.search.racing import losers
from dlcli.search.trials import Trial

BEST = Trial(7, 1, {}, 0, state="finished", fold_scores=(0.2, 0.4, 0.3), score=0.3)


def test_nobody_leaves_after_one_fold_without_an_incumbent():
    assert losers({1: [9.0], 2: [0.1]}, None, "min") == {}
    assert losers({}, None, "min") == {}


def test_the_best_of_those_together_stands_in_from_two_folds_on():
    running = {3: [0.1, 0.5], 4: [0.3, 0.31], 5: [0.45, 0.55], 6: [0.6, 0.41]}
    assert losers(running, None, "min") == {
        6: "after 2 folds its mean 0.505 is worse than 0.5, the worst fold of trial 3, the best of those beside it"
    }


def test_who_stands_in_may_be_the_largest():
    assert losers({3: [0.1, 0.5], 4: [0.9, 0.2], 5: [0.19, 0.2]}, None, "max").keys() == {5}


def test_who_is_worse_in_the_mean_than_the_worst_fold_leaves():
    left = losers({1: [0.41], 2: [0.4], 3: [0.9, 0.1], 4: [0.1]}, BEST, "min")
    assert left.keys() == {1, 3}
    assert left[3] == "after 2 folds its mean 0.5 is worse than 0.4, the worst fold of trial 7, then the best"
    assert left[1].startswith("after one fold its mean 0.41 ")


def test_larger_may_be_better():
    assert losers({1: [0.19], 2: [0.2], 3: [0.9]}, BEST, "max").keys() == {1}
