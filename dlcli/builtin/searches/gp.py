"""The search `gp`."""

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from dlcli import Direction, PluginError, Search, Searcher, Setting, Space
from dlcli.builtin.searches.optuna_study import OptunaSearcher

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class GaussianProcess(Search):
    """Gaussian process with expected improvement: the fewest trials, for few keys and costly training. Optuna's.

    The first trials are those of `random`; those that run are imagined as finished. A proposal takes some
    tenths of a second. Conditional keys are random. It needs scipy: pip install "dlcli[tune]".

    Args:
        start_trials: Random trials before the model is asked, ≥ 1.

    Source: Jones et al. 1998, "Efficient global optimization of expensive black-box functions".
    """

    name: ClassVar[str] = "gp"

    start_trials: int = Field(10, ge=1, description="random trials before the model is asked")

    def start(
        self, space: Space, direction: Direction, seed: int, previous: Sequence[tuple[Setting, float]] = ()
    ) -> Searcher:
        """Start the search; where scipy is not installed, a PluginError says how to install it."""
        if importlib.util.find_spec("scipy") is None:
            raise PluginError('the search gp needs scipy, which is not installed: pip install "dlcli[tune]"')
        return OptunaSearcher(space, direction, seed, self.name, _sampler, self.start_trials, previous)


def _sampler(seed: int) -> "BaseSampler":
    from optuna.samplers import GPSampler

    return GPSampler(seed=seed, n_startup_trials=1, warn_independent_sampling=False)
