"""The search `tpe`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from dlcli import Direction, Search, Searcher, Setting, Space
from dlcli.builtin.searches.optuna_study import OptunaSearcher

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class TreeParzen(Search):
    """Tree-structured Parzen estimator: models where good settings lie and where the others do. Optuna's, multivariate.

    The first trials are those of `random`. Those that run count as bad, so that settings asked for together differ.
    Conditional keys are modelled one by one.

    Args:
        start_trials: Random trials before the model is asked, ≥ 1.

    Source: Bergstra et al. 2011, "Algorithms for hyper-parameter optimization"; Watanabe 2023.
    """

    name: ClassVar[str] = "tpe"

    start_trials: int = Field(10, ge=1, description="random trials before the model is asked")

    def start(
        self, space: Space, direction: Direction, seed: int, previous: Sequence[tuple[Setting, float]] = ()
    ) -> Searcher:
        """Start the search."""
        return OptunaSearcher(space, direction, seed, self.name, _sampler, self.start_trials, previous)


def _sampler(seed: int) -> "BaseSampler":
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, n_startup_trials=1, multivariate=True, constant_liar=True)
