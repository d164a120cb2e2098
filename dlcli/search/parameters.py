"""A space and its settings as Optuna writes them in a journal."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dlcli.contracts.search import Choice, Distribution, Normal, Setting, Space, Uniform, Value, written

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_SIGMAS = 6  # as far as `Normal.at` goes


def distributions(space: Space) -> dict[str, "BaseDistribution"]:
    """Return Optuna's distribution of each key, for readers of the journal; a normal one is shown as its range.

    Args:
        space: The space.

    Returns:
        The distributions; a choice among lists or tables is one among their JSON texts.
    """
    return {key: _distribution(each) for key, each in space.items()}


class Parameters:
    """Writes the settings of one space.

    Args:
        space: The space.
    """

    def __init__(self, space: Space) -> None:
        from optuna.distributions import distribution_to_json

        self.space = space
        self._texts = {key: distribution_to_json(each) for key, each in distributions(space).items()}

    def fields(self, setting: Setting) -> dict[str, Mapping[str, Any]]:
        """Return the fields `params` and `distributions` of a journal's line that creates a trial.

        Args:
            setting: The setting. A value that is not one of its distribution's is left out: Optuna could not read it.

        Returns:
            The two fields.
        """
        internal = {
            key: _internal(self.space[key], value)
            for key, value in setting.items()
            if key in self.space and self.space[key].contains(value)
        }
        return {"params": internal, "distributions": {key: self._texts[key] for key in internal}}


def _distribution(distribution: Distribution) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, Uniform) and distribution.whole:
        return IntDistribution(int(distribution.low), int(distribution.high), log=distribution.log)
    if isinstance(distribution, Uniform):
        return FloatDistribution(distribution.low, distribution.high, log=distribution.log)
    if isinstance(distribution, Normal):
        reach = _SIGMAS * distribution.deviation
        low = distribution.low if math.isfinite(distribution.low) else distribution.mean - reach
        high = distribution.high if math.isfinite(distribution.high) else distribution.mean + reach
        return FloatDistribution(low, high)
    assert isinstance(distribution, Choice)
    return CategoricalDistribution([_shown(value) for value in distribution.values])


def _shown(value: Value) -> None | bool | int | float | str:
    return value if value is None or isinstance(value, bool | int | float | str) else written(value)


def _internal(distribution: Distribution, value: Value) -> float:
    if isinstance(distribution, Choice):
        place = distribution.position(value)
        assert place is not None  # the distribution contains it
        return place
    return float(value)  # type: ignore[arg-type]
