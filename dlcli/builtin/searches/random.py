"""The search `random`."""

from collections.abc import Sequence
from typing import ClassVar

from dlcli import Direction, Search, Searcher, Setting, Space, compose, derive


def quantile(seed: int, trial: int, key: str) -> float:
    """Return a number in [0, 1) that is a function of a seed, a trial and a key alone."""
    return (derive(seed, "search", trial, key) >> 10) * 2.0**-53


def random_setting(space: Space, seed: int, trial: int) -> Setting:
    """Return the random setting of a trial."""
    return compose(space, lambda key, distribution: distribution.at(quantile(seed, trial, key)))


class Random(Search):
    """Every value at random: the k-th trial's value of a key depends on the seed, k and the key alone.

    So the settings are the same for any number of workers, and adding a key to the space leaves the others' values.

    Source: Bergstra and Bengio 2012, "Random search for hyper-parameter optimization".
    """

    name: ClassVar[str] = "random"

    def start(
        self, space: Space, direction: Direction, seed: int, previous: Sequence[tuple[Setting, float]] = ()
    ) -> Searcher:
        """Start the search; earlier results are of no use to it."""
        return _RandomSearcher(space, seed)


class _RandomSearcher:
    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed = space, seed

    def ask(self, trials: Sequence[int]) -> list[Setting]:
        """Propose the settings of these trials."""
        return [random_setting(self._space, self._seed, trial) for trial in trials]

    def tell(self, trial: int, setting: Setting, score: float | None) -> None:
        """Learn nothing."""

    def pending(self, trial: int, setting: Setting) -> None:
        """Learn nothing."""
