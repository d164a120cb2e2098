"""The search `cmaes`."""

import importlib.util
import math
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from dlcli import (
    Choice,
    Direction,
    Distribution,
    Normal,
    PluginError,
    Search,
    Searcher,
    Setting,
    Space,
    Uniform,
    Value,
    belongs,
    compose,
    derive,
)
from dlcli.builtin.searches.random import quantile

WARM_START = 10
"""Settings of an earlier stage that it takes to start from their best tenth."""


class CmaEs(Search):
    """Covariance matrix adaptation: a cloud of settings that moves and takes the valley's shape; for many trials.

    It searches the numbers that are in every setting, each scaled to [0, 1] by its distribution; choices, and keys
    with a condition, are random. A generation is as many finished trials as `population`, by number, whoever ran
    them; a failed one is the worst of its generation. It starts in the middle of the space, or from the best tenth of
    an earlier stage. It needs cmaes: pip install "dlcli[tune]".

    Args:
        population: Trials of a generation, ≥ 3; by default 4 + 3 ln(number of keys), rounded down.

    Source: Hansen 2016, "The CMA evolution strategy: a tutorial"; Nomura et al. 2021 for the warm start.
    """

    name: ClassVar[str] = "cmaes"

    population: int | None = Field(
        None, ge=3, description="trials of a generation; by default 4 + 3 ln(number of keys), rounded down"
    )

    def start(
        self, space: Space, direction: Direction, seed: int, previous: Sequence[tuple[Setting, float]] = ()
    ) -> Searcher:
        """Start the search; where cmaes is not installed, a PluginError says how to install it."""
        if importlib.util.find_spec("cmaes") is None:
            raise PluginError('the search cmaes needs the package cmaes, not installed: pip install "dlcli[tune]"')
        return _CmaEsSearcher(space, direction, seed, self.population, previous)


class _CmaEsSearcher:
    def __init__(
        self,
        space: Space,
        direction: Direction,
        seed: int,
        population: int | None,
        previous: Sequence[tuple[Setting, float]],
    ) -> None:
        import numpy
        from cmaes import CMA, get_warm_start_mgd

        self._space, self._seed, self._sign = space, seed, 1.0 if direction == "min" else -1.0
        self._keys = [key for key, each in space.items() if not isinstance(each, Choice) and each.when is None]
        self._told: dict[int, tuple[Setting, float]] = {}
        self._news: list[int] = []
        self._queue: list[int] = []
        self._optimizer = None
        if self._keys:
            count = len(self._keys)
            mean, deviation, covariance = numpy.full(count, 0.5), 1 / 6, None
            usable = [(setting, score) for setting, score in previous if belongs(space, setting)]
            if len(usable) >= WARM_START:
                points = [(numpy.array(self._point(setting)), self._sign * score) for setting, score in usable]
                mean, deviation, covariance = get_warm_start_mgd(points)
            self._optimizer = CMA(
                mean=mean,
                sigma=max(deviation, 1e-6),
                cov=covariance,
                bounds=numpy.tile([0.0, 1.0], (count, 1)),
                population_size=population,
                n_max_resampling=10 * count,
                seed=0,
            )

    def _point(self, setting: Setting) -> list[float]:
        """Return where a setting is in the unit cube."""
        return [_share(self._space[key], setting[key]) for key in self._keys]

    def ask(self, trials: Sequence[int]) -> list[Setting]:
        """Propose a setting for each trial, from the present generation's distribution."""
        self._advance()
        settings: list[Setting] = []
        for trial in trials:
            quantiles: dict[str, float] = {}
            if self._optimizer is not None:
                # Anew for every trial: what it gets does not depend on who asked for how many before.
                self._optimizer.reseed_rng(derive(self._seed, "cmaes", trial) % 2**32)
                point = self._optimizer.ask()
                quantiles = {key: min(float(x), 1 - 2**-53) for key, x in zip(self._keys, point, strict=True)}
            settings.append(compose(self._space, _Picker(quantiles, self._seed, trial)))
        return settings

    def tell(self, trial: int, setting: Setting, score: float | None) -> None:
        """Note the score of a trial; one whose setting is not of the space teaches nothing."""
        if trial in self._told or not belongs(self._space, setting):
            return
        failed = score is None or not math.isfinite(score)
        self._told[trial] = setting, math.inf if score is None or failed else self._sign * score
        self._news.append(trial)

    def pending(self, trial: int, setting: Setting) -> None:
        """Learn nothing: a generation draws its settings independently."""

    def _advance(self) -> None:
        """Move the distribution once for every full generation."""
        self._queue += sorted(self._news)
        self._news = []
        if self._optimizer is None:
            return
        import numpy

        size = self._optimizer.population_size
        while len(self._queue) >= size:
            generation, self._queue = self._queue[:size], self._queue[size:]
            told = [self._told[trial] for trial in generation]
            self._optimizer.tell([(numpy.array(self._point(setting)), score) for setting, score in told])


class _Picker:
    """Picks a value at a key's own quantile where it has one, else a random one."""

    def __init__(self, quantiles: dict[str, float], seed: int, trial: int) -> None:
        self._quantiles, self._seed, self._trial = quantiles, seed, trial

    def __call__(self, key: str, distribution: Distribution) -> Value:
        at = self._quantiles.get(key)
        return distribution.at(quantile(self._seed, self._trial, key) if at is None else at)


def _share(distribution: Distribution, value: Value) -> float:
    assert isinstance(distribution, Uniform | Normal)
    assert isinstance(value, int | float)
    return distribution.quantile(value)
