from dlcli.search.failing import common_reason, hopeless
from dlcli.search.trials import Trial


def ended(pattern, reason="the loss became NaN in epoch 2"):
    states = {"f": "failed", "o": "finished", "p": "pruned"}
    return [
        Trial(number, 1, {}, 0, state=states[letter], reason=reason if letter == "f" else None)
        for number, letter in enumerate(pattern)
    ]


def test_goes_on_while_trials_train():
    for pattern in ("", "ffff", "fffffo", "offfff", "pfffffff", "o" * 30, "ffffffffoffoff"[:3] + "ooo"):
        assert hopeless(ended(pattern), 0) is None, pattern


def test_stops_when_the_first_five_failed_and_names_the_reason():
    advice = hopeless(ended("fffff"), 0)
    assert "all 5 trials failed, most often (5 of 5) because: the loss became NaN in epoch 2;" in advice
    assert "narrow the ranges in [tune.space]" in advice


def test_stops_when_eight_of_the_last_ten_failed():
    assert "8 of the last 10 trials failed" in hopeless(ended("oooooo" + "offfffpfff"), 0)
    assert hopeless(ended("ffffffffff" + "oo"), 0) is not None
    assert hopeless(ended("ffffffffff" + "ooo"), 0) is None


def test_a_search_started_again_tries_something_before_it_is_judged():
    assert hopeless(ended("fffff"), 5) is None
    assert hopeless(ended("ffffff"), 5) is not None


def test_reasons_are_one_but_for_their_numbers():
    trials = [*ended("f", "NaN in epoch 1"), *ended("f", "out of memory"), *ended("f", "NaN in epoch 23")]
    assert common_reason(trials) == "most often (2 of 3) because: NaN in epoch 1"
