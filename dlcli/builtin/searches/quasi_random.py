"""The search `quasi_random`."""

from collections.abc import Sequence
from typing import ClassVar

from dlcli import Direction, Search, Searcher, Setting, Space, compose, derive


class QuasiRandom(Search):
    """A scrambled Sobol sequence: random settings that leave no holes; trial k gets its k-th point.

    Every key has a dimension of its own, also where its condition does not hold. Best with a power of two of trials.

    Source: Sobol' 1967; Owen 1998, "Scrambling Sobol' and Niederreiter–Xing points".
    """

    name: ClassVar[str] = "quasi_random"

    def start(
        self, space: Space, direction: Direction, seed: int, previous: Sequence[tuple[Setting, float]] = ()
    ) -> Searcher:
        """Start the search; earlier results are of no use to it."""
        return _SobolSearcher(space, seed)


class _SobolSearcher:
    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed = space, derive(seed, "sobol")
        self._points: list[list[float]] = []

    def _point(self, trial: int) -> list[float]:
        """Return a point; the sequence is drawn anew, twice as long, where it is too short."""
        if trial >= len(self._points):
            import torch
            from torch.quasirandom import SobolEngine

            engine = SobolEngine(max(len(self._space), 1), scramble=True, seed=self._seed)  # type: ignore[no-untyped-call]
            count = max(64, 1 << trial.bit_length())
            self._points = engine.draw(count, dtype=torch.float64).clamp(0, 1 - 2**-53).tolist()
        return self._points[trial]

    def ask(self, trials: Sequence[int]) -> list[Setting]:
        """Propose the settings of these trials."""
        settings: list[Setting] = []
        for trial in trials:
            quantiles = dict(zip(self._space, self._point(trial), strict=False))
            settings.append(compose(self._space, lambda key, each, at=quantiles: each.at(at[key])))  # type: ignore[misc]
        return settings

    def tell(self, trial: int, setting: Setting, score: float | None) -> None:
        """Learn nothing."""

    def pending(self, trial: int, setting: Setting) -> None:
        """Learn nothing."""
