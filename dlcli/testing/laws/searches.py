"""Laws of searches."""

import json
import math
from collections.abc import Mapping, Sequence

from dlcli import Choice, Condition, Distribution, Normal, Search, Setting, Uniform, belongs
from dlcli.testing.law import Case, Law

SPACE: dict[str, Distribution] = {
    "train.optimizer.lr": Uniform(1e-5, 1e-1, log=True),
    "model.dropout": Uniform(0.0, 0.5),
    "train.batch_size": Uniform(16, 19, whole=True),
    "model.hidden": Choice(((64,), (128, 128))),
    "train.optimizer": Choice(("adam", {"name": "sgd", "nesterov": True})),
    "train.optimizer.momentum": Normal(0.9, 0.1, 0.0, 1.0, when=Condition("train.optimizer", ("sgd",))),
}
TRIALS = 12


def run_search(
    case: Case, seed: int, numbers: Sequence[int] = range(TRIALS), told: Mapping[int, Setting] | None = None
) -> dict[int, Setting]:
    """Ask for trials three at a time and tell their scores, one of them a failure, until nothing is left.

    Args:
        case: The search.
        seed: Its seed.
        numbers: Numbers of the trials.
        told: Trials that were there before and are told first.

    Returns:
        The settings that it proposed, by trial.
    """
    search: Search = case.component
    searcher = search.start(SPACE, "min", seed)
    for trial, setting in (told or {}).items():
        searcher.tell(trial, setting, score_of(trial, setting))
    settings: dict[int, Setting] = {}
    for first in range(0, len(numbers), 3):
        trials = numbers[first : first + 3]
        proposed = searcher.ask(trials)
        assert len(proposed) <= 3, f"{case.label}: asked for 3 settings, it proposes {len(proposed)}"
        for trial, setting in zip(trials, proposed, strict=False):
            assert belongs(SPACE, setting), f"{case.label}: proposes {dict(setting)}, which is not of the space {SPACE}"
            settings[trial] = setting
            # Twice, once with lists for tuples: what comes back from a journal is the same trial.
            searcher.tell(trial, json.loads(json.dumps(setting)), score_of(trial, setting))
            searcher.tell(trial, setting, score_of(trial, setting))
    return settings


def score_of(trial: int, setting: Setting) -> float | None:
    """Return the score of a trial; the second one fails."""
    rate = setting["train.optimizer.lr"]
    assert isinstance(rate, float)
    return None if trial == 1 else abs(math.log10(rate) + 3)


def proposes_settings_of_the_space(case: Case) -> None:
    """Every proposal has a value for every active key, each from its distribution; a failed trial does not end it."""
    assert run_search(case, seed=0), f"{case.label} proposes nothing"


def searches_the_same_way_with_one_seed(case: Case) -> None:
    """Told the same scores, it proposes the same settings."""
    message = f"{case.label}: two searches with one seed propose different settings"
    assert run_search(case, seed=3) == run_search(case, seed=3), message


def goes_on_where_it_was(case: Case) -> None:
    """A search that is told what happened before goes on as if it had never been interrupted."""
    whole = run_search(case, seed=1)
    before = {trial: setting for trial, setting in whole.items() if trial < TRIALS - 3}
    after = run_search(case, 1, range(TRIALS - 3, TRIALS), before)
    message = f"{case.label}: told of {len(before)} trials, it does not go on as it did without an interruption"
    assert {**before, **after} == whole, message


def shares_the_work(case: Case) -> None:
    """Two processes with one seed that know of each other's trials propose different settings."""
    search: Search = case.component
    mine, theirs = (search.start(SPACE, "min", 0) for _ in range(2))
    proposed: list[Setting] = []
    for first in range(0, TRIALS, 4):
        for searcher, other, start in ((mine, theirs, first), (theirs, mine, first + 2)):
            trials = [start, start + 1]
            settings = searcher.ask(trials)
            for trial, setting in zip(trials, settings, strict=False):
                other.pending(trial, setting)
            proposed.extend(settings)
    different = {json.dumps(setting, sort_keys=True) for setting in proposed}
    assert len(different) == len(proposed), (
        f"{case.label}: two processes propose {len(different)} different settings in {len(proposed)} trials"
    )


LAWS = (
    Law(proposes_settings_of_the_space, ("search",)),
    Law(searches_the_same_way_with_one_seed, ("search",)),
    Law(goes_on_where_it_was, ("search",)),
    Law(shares_the_work, ("search",)),
)
