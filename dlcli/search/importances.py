"""Which tuned keys made the difference: PED-ANOVA over the finished trials of a study."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

FEWEST_TRIALS = 4
"""With fewer finished trials, shares would be noise."""
GOOD_PART, GOOD_TRIALS, MOST_PART = 0.1, 5, 0.5
"""Good settings are the best tenth, but at least this many trials, and at most half of them."""


@dataclass(frozen=True)
class Importances:
    """How much each key matters.

    Args:
        shares: Share of each key in what tells good settings from the others, largest first, summing to 1; keys are
            the names of the study's parameters. Empty where nothing can be said.
        left_out: Keys without a share, each with the reason.
        reason: Why there are no shares; None where there are.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None


def importances(study: "Study") -> Importances:
    """Return the importances by PED-ANOVA: how far the values of good settings differ from those of all settings.

    A key that only some settings have counts with those that have it. Pruned and failed trials do not count.

    Args:
        study: A study with one objective. All its finished trials have the same budget, or scores would not compare.

    Returns:
        The importances, or why there are none.
    """
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.trial import TrialState

    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    trials = [trial for trial in finished if trial.value is not None and math.isfinite(trial.value)]
    if len(trials) < FEWEST_TRIALS:
        return Importances(reason=f"{len(trials)} finished trials, and at least {FEWEST_TRIALS} are needed")
    if len({trial.value for trial in trials}) == 1:
        return Importances(reason="all finished trials have the same score")
    left_out = {}
    usable = []
    for key in dict.fromkeys(key for trial in study.get_trials(deepcopy=False) for key in trial.distributions):
        if cause := _unusable(key, trials):
            left_out[key] = cause
        else:
            usable.append(key)
    if not usable:
        return Importances(left_out=left_out, reason="no key has enough finished trials with different values")
    evaluator = PedAnovaImportanceEvaluator(target_quantile=_good_part(len(trials)))
    with warnings.catch_warnings():
        # Optuna warns that the method is new, and of settings too few to compare, which are left out above.
        warnings.simplefilter("ignore")
        found = evaluator.evaluate(study, params=usable)
    total = sum(found.values())
    if not (math.isfinite(total) and total > 0):
        return Importances(left_out=left_out, reason="good settings and the others have the same values")
    shares = {key: found[key] / total for key in sorted(found, key=lambda key: (-found[key], key))}
    return Importances(shares, left_out)


def _good_part(trials: int) -> float:
    return max(GOOD_PART, min(GOOD_TRIALS / trials, MOST_PART))


def _unusable(key: str, trials: "list[FrozenTrial]") -> str | None:
    """Why a key can have no share; None where it can."""
    regimes: dict[BaseDistribution, int] = {}
    for trial in trials:
        if (distribution := trial.distributions.get(key)) is not None:
            regimes[distribution] = regimes.get(distribution, 0) + 1
    if all(distribution.single() for distribution in regimes) and regimes:
        return "it can have one value only"
    if max(regimes.values(), default=0) < 2:
        return "fewer than two finished trials have it"
    return None
