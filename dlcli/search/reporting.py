"""Collects what a running population reports, and writes it to the journal now and then."""

import time
from collections.abc import Mapping

from dlcli.search.claims import Claim
from dlcli.search.mirror import Mirror
from dlcli.search.watch import SearchWatch

_SPACING = 1.0


class Reporting:
    """The `Report` of one population.

    Args:
        claim: The lease of the population.
        watch: Is told every value.
        mirror: Where values are written at most once a second; None for nowhere: with folds, epochs do not belong on
            the journal's axis.
    """

    def __init__(self, claim: Claim, watch: SearchWatch, mirror: Mirror | None) -> None:
        self.values: dict[int, dict[int, float]] = {}
        self._claim = claim
        self._watch = watch
        self._mirror = mirror
        self._new: dict[int, dict[int, float]] = {}
        self._written = time.monotonic()

    def __call__(self, trial: int, epoch: int, value: float) -> None:
        """Report a trial's monitored value at the end of an epoch; see `Report`."""
        self._claim.check()
        self._watch.trial_reported(trial, epoch, value)
        for values in (self.values, self._new):
            values.setdefault(trial, {})[epoch] = value
        if self._mirror is not None and time.monotonic() - self._written > _SPACING:
            self._mirror.report(self._new)
            self._new = {}
            self._written = time.monotonic()

    def interrupted(self) -> bool:
        """Return whether to save the state and end; see `Report`."""
        self._claim.check()
        return self._watch.interrupted()

    def recorded(self) -> Mapping[int, Mapping[int, float]]:
        """Return all values for the record; none where they do not belong in the journal."""
        return self.values if self._mirror is not None else {}
