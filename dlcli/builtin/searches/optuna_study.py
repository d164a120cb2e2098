"""What the searches have in common that leave the model to Optuna: a study in memory that mirrors what was told."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dlcli import (
    Choice,
    Direction,
    Distribution,
    Normal,
    Setting,
    Space,
    Uniform,
    Value,
    belongs,
    compose,
    derive,
)
from dlcli.builtin.searches.random import random_setting

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from announcing a study on stderr, here alone."""
    import optuna

    assert optuna.__name__  # its import sets the level that is put back
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class Mirror:
    """A study in memory: its trials are numbered in the order in which they are added, whatever we call them.

    Args:
        space: What is searched; a normal distribution is searched by its quantiles, a choice by its places.
        direction: Whether a smaller or larger score is better.
    """

    def __init__(self, space: Space, direction: Direction) -> None:
        from optuna import load_study
        from optuna.storages import InMemoryStorage
        from optuna.study import StudyDirection

        self._space = space
        self._storage = InMemoryStorage()
        way = StudyDirection.MINIMIZE if direction == "min" else StudyDirection.MAXIMIZE
        with quiet():
            self._study_id = self._storage.create_new_study([way], "mirror")
            self._study = load_study(study_name="mirror", storage=self._storage)
        self._distributions = {key: self._distribution(each) for key, each in space.items()}
        self._ids: dict[int, int] = {}

    @staticmethod
    def _distribution(distribution: Distribution) -> "BaseDistribution":
        from optuna import distributions

        if isinstance(distribution, Choice):
            return distributions.CategoricalDistribution(list(range(len(distribution.values))))
        if isinstance(distribution, Uniform):
            low, high, log = distribution.low, distribution.high, distribution.log
            if distribution.whole:
                return distributions.IntDistribution(int(low), int(high), log=log)
            return distributions.FloatDistribution(low, high, log=log)
        return distributions.FloatDistribution(0.0, 1.0)

    def _template(self, setting: Setting, score: float | None) -> "FrozenTrial":
        from optuna.trial import TrialState, create_trial

        params = {key: self._encode(self._space[key], value) for key, value in setting.items()}
        return create_trial(
            state=TrialState.RUNNING if score is None else TrialState.COMPLETE,
            value=score,
            params=params,
            distributions={key: self._distributions[key] for key in setting},
        )

    @staticmethod
    def _encode(distribution: Distribution, value: Value) -> Any:
        if isinstance(distribution, Choice):
            return distribution.position(value)
        assert isinstance(value, int | float)
        return distribution.quantile(value) if isinstance(distribution, Normal) else value

    def add(self, trial: int | None, setting: Setting, score: float | None) -> None:
        """Add a trial, or give one that is there its score.

        Args:
            trial: Its number; None for one of an earlier stage.
            setting: Its setting, of the space.
            score: Its score; None for one that counts as running.
        """
        from optuna.trial import TrialState

        if trial is None or trial not in self._ids:
            added = self._storage.create_new_trial(self._study_id, self._template(setting, score))
            if trial is not None:
                self._ids[trial] = added
        elif score is not None:
            self._storage.set_trial_state_values(self._ids[trial], TrialState.COMPLETE, [score])

    def propose(self, trial: int, sampler: "BaseSampler") -> Setting:
        """Let a sampler propose a setting, which counts as running from now on.

        Args:
            trial: Its number.
            sampler: Freshly seeded.

        Returns:
            The setting.
        """
        self._study.sampler = sampler
        asked = self._study.ask()
        self._ids[trial] = asked._trial_id
        return compose(self._space, lambda key, distribution: self._suggest(asked, key, distribution))

    @staticmethod
    def _suggest(asked: "Trial", key: str, distribution: Distribution) -> Value:
        if isinstance(distribution, Choice):
            return distribution.values[asked.suggest_categorical(key, list(range(len(distribution.values))))]
        if isinstance(distribution, Uniform):
            low, high, log = distribution.low, distribution.high, distribution.log
            if distribution.whole:
                return asked.suggest_int(key, int(low), int(high), log=log)
            return asked.suggest_float(key, low, high, log=log)
        return distribution.at(asked.suggest_float(key, 0.0, 1.0))


class OptunaSearcher:
    """A search whose first trials are random and whose others come from one of Optuna's samplers.

    A sampler is made anew for every trial, seeded with the search's seed and the trial's number, so that it holds no
    state but the study, and processes with one seed never propose the same. What was told since the last proposal
    is put into the study by number, so that its order does not depend on who finished first.

    A failed trial counts as bad as the worst so far, for a search that forgot it would propose its like again. Scores
    of an earlier stage are never compared with this one's: they guide its first trials, which count as running until
    `start` of them have finished; from then on those alone do.

    Args:
        space: What to search.
        direction: Whether a smaller or larger score is better.
        seed: Seed of the search.
        name: The search's name, which its random streams are derived from.
        sampler: Makes a sampler from a seed in [0, 2^32).
        start: How many trials are random, or guided by an earlier stage.
        previous: Finished settings of an earlier stage, with their scores.
    """

    def __init__(
        self,
        space: Space,
        direction: Direction,
        seed: int,
        name: str,
        sampler: "Callable[[int], BaseSampler]",
        start: int,
        previous: Sequence[tuple[Setting, float]],
    ) -> None:
        self._space, self._direction, self._seed = space, direction, seed
        self._name, self._sampler, self._start = name, sampler, start
        self._previous = [(each, score) for each, score in previous if belongs(space, each) and math.isfinite(score)]
        # One or two would narrow the view more than random settings do.
        self._guided = len(self._previous) >= start / 2
        self._mirror = self._fresh()
        self._imputed: float | None = None  # the score that failed trials have in the study
        self._settings: dict[int, Setting] = {}
        self._scores: dict[int, float] = {}
        self._failed: set[int] = set()
        self._news: set[int] = set()

    def ask(self, trials: Sequence[int]) -> list[Setting]:
        """Propose a setting for each trial, one after the other, each knowing those before it."""
        self._take_in()
        settings = []
        for trial in trials:
            if self._is_random(trial):
                setting = random_setting(self._space, self._seed, trial)
                self._mirror.add(trial, setting, None)
            else:
                setting = self._mirror.propose(trial, self._sampler(derive(self._seed, self._name, trial) % 2**32))
            self._settings[trial] = setting
            settings.append(setting)
        return settings

    def tell(self, trial: int, setting: Setting, score: float | None) -> None:
        """Note the score of a trial; one whose setting is not of the space teaches nothing."""
        if trial in self._scores or trial in self._failed or not self._know(trial, setting):
            return
        if score is not None and math.isfinite(score):
            self._scores[trial] = score
        else:
            self._failed.add(trial)
        self._news.add(trial)

    def pending(self, trial: int, setting: Setting) -> None:
        """Note a trial that somebody else runs."""
        if trial not in self._settings and self._know(trial, setting):
            self._news.add(trial)

    def _know(self, trial: int, setting: Setting) -> bool:
        if trial not in self._settings and belongs(self._space, setting):
            self._settings[trial] = setting
        return trial in self._settings

    def _is_random(self, trial: int) -> bool:
        """Return whether there is too little to go by; a stage's first number need not be 0."""
        return not self._guided and (trial < self._start or len(self._scores) < self._start / 2)

    def _take_in(self) -> None:
        """Bring the study up to date; it is made anew where what it was told is seen otherwise now."""
        worst = self._worst() if self._failed else None
        if (self._guided and len(self._scores) >= self._start) or worst != self._imputed:
            self._guided = self._guided and len(self._scores) < self._start
            self._imputed = worst
            self._mirror = self._fresh()
            self._news = set(self._settings)
        scores: dict[int, float] = {}
        if not self._guided:
            # Failures before the first score count as running until then.
            scores = self._scores if worst is None else {**dict.fromkeys(self._failed, worst), **self._scores}
        for trial in sorted(self._news):
            self._mirror.add(trial, self._settings[trial], scores.get(trial))
        self._news = set()

    def _fresh(self) -> Mirror:
        """Make a study of the earlier stage's trials, as long as they guide this one's."""
        mirror = Mirror(self._space, self._direction)
        for setting, score in self._previous if self._guided else ():
            mirror.add(None, setting, score)
        return mirror

    def _worst(self) -> float | None:
        if not self._scores:
            return None
        return max(self._scores.values()) if self._direction == "min" else min(self._scores.values())
