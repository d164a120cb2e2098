"""What making an ensemble came to: its members, the comparison with them, and what is shown and written of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from dlcli.contracts.history import Direction

Figures = Mapping[str, float]
"""The loss and each metric, by name."""


def _finite(value: Any) -> Any:
    """Return what JSON can hold: a number that is not finite becomes null, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, tuple | list) else value


@dataclass(frozen=True)
class EnsembleMember:
    """One member, trained or given.

    Args:
        identity: Its name within the run.
        source: The run that it is from, as the user may write it; None where it was trained here.
        epoch: The epoch that its state is from; 0 where that is not one.
        epochs: Epochs trained here; 0 for a given one.
        seconds: Wall time of training it; 0.0 for a given one.
        score: Its monitored value on validation rows; None without any.
        parameters: Numbers in its network, or networks.
        used: Whether it is part of the ensemble.
        figures: Loss and metrics on the rows of the comparison; empty where there is none.
        failure: Why it failed; None where it did not.
        stopped: Why its training ended early; None where it did not.
    """

    identity: str
    source: str | None = None
    epoch: int = 0
    epochs: int = 0
    seconds: float = 0.0
    score: float | None = None
    parameters: int = 0
    used: bool = True
    figures: Figures = field(default_factory=dict)
    failure: str | None = None
    stopped: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints and `run.json` holds."""
        table: dict[str, Any] = _finite(vars(self))
        return table


@dataclass(frozen=True)
class Gain:
    """How much smaller the ensemble's loss is than another's on the same rows.

    Args:
        value: Mean over rows of the other's loss minus the ensemble's, > 0 where the ensemble is better.
        standard_error: Standard error of that mean, the rows taken as independent; NaN for a single row.
    """

    value: float
    standard_error: float


@dataclass(frozen=True)
class Comparison:
    """The ensemble against its members on the same rows.

    Args:
        split: `test`, or `val` where there are no test rows.
        rows: How many.
        ensemble: The ensemble's figures.
        best_member: The member with the best score on validation rows, which is chosen without looking at test rows.
        best: That member's figures.
        mean: Mean of each figure over the members.
        gain_on_best: Against that member.
        gain_on_mean: Against the members' mean.
        disagreement: Share of rows on which two members' classes differ, mean over pairs; None for regression, and for
            one member.
        error_correlation: Correlation of two members' errors (wrong or not; for regression residuals), mean over pairs
            where it is defined; None where it is nowhere.
    """

    split: Literal["test", "val"]
    rows: int
    ensemble: Figures
    best_member: str
    best: Figures
    mean: Figures
    gain_on_best: Gain
    gain_on_mean: Gain
    disagreement: float | None = None
    error_correlation: float | None = None


@dataclass(frozen=True)
class Calibration:
    """How well probabilities can be believed, on the rows of the comparison.

    Args:
        nll: Negative log-likelihood, in nats.
        brier: Brier score.
        ece: Expected calibration error, 15 bins.
    """

    nll: float
    brier: float
    ece: float


@dataclass(frozen=True)
class TemperatureScaling:
    """Temperature scaling of the ensemble's outputs, fitted on validation rows.

    Args:
        temperature: What outputs are divided by, > 0.
        applied: Whether the model does it, as `ensemble.temperature_scaling` asks.
        before: Calibration without.
        after: Calibration with.
    """

    temperature: float
    applied: bool
    before: Calibration
    after: Calibration


@dataclass(frozen=True)
class CurvePoint:
    """The ensemble of the first members.

    Args:
        members: How many.
        val: Its monitored value on validation rows, or on the rows that its members have not seen; None without any.
        compared: Its loss on the rows of the comparison; None without any.
    """

    members: int
    val: float | None = None
    compared: float | None = None


@dataclass(frozen=True)
class EnsembleOutcome:
    """What making an ensemble came to.

    Args:
        run: Its directory.
        name: Its name.
        status: How it ended.
        strategy: Name of the strategy.
        kind: What its model is: several networks, one network of averaged weights, or one member's network.
        monitor: The value that decided.
        direction: Whether a smaller or a larger value of it is better.
        seconds: Wall time of all training.
        members: All members.
        train: Figures of the model on training rows; None where not computed.
        val: Likewise on validation rows; None where there are none, or more than choices was fitted to them.
        test: Likewise on test rows; None where there are none.
        score: The ensemble's monitored value on validation rows; None without any.
        comparison: With its members; None before it is finished, or without rows to compare on.
        unseen_kind: What is said of rows by members that have not seen them: `out-of-bag` or `out-of-fold`; None where
            the strategy says nothing.
        unseen: The figures of that; None likewise.
        calibration: On the rows of the comparison; None for regression.
        temperature_scaling: None without validation rows, and for regression.
        curve: The ensemble against its number of members, rising.
        relative_seconds: Wall time of all training over what one network of the recipe takes alone, both without what
            first steps cost; None unless two or more of one architecture were trained.
        relative_parameters: Numbers in the model over those of one member, mean.
        picture: The SVG of the curve; None where there is none.
        notes: What the user should know.
        extends: Whether members may be added to the finished run.
    """

    run: Path
    name: str
    status: Literal["running", "finished", "interrupted", "failed"]
    strategy: str
    kind: Literal["combination", "weights", "single"]
    monitor: str
    direction: "Direction"
    seconds: float
    members: tuple[EnsembleMember, ...]
    train: Figures | None = None
    val: Figures | None = None
    test: Figures | None = None
    score: float | None = None
    comparison: Comparison | None = None
    unseen_kind: Literal["out-of-bag", "out-of-fold"] | None = None
    unseen: Figures | None = None
    calibration: Calibration | None = None
    temperature_scaling: TemperatureScaling | None = None
    curve: tuple[CurvePoint, ...] = ()
    relative_seconds: float | None = None
    relative_parameters: float | None = None
    picture: Path | None = None
    notes: tuple[str, ...] = ()
    extends: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "run": str(self.run),
            "status": self.status,
            "strategy": self.strategy,
            "kind": self.kind,
            "monitor": self.monitor,
            "seconds": round(self.seconds, 3),
            "score": _finite(self.score),
            "train": _finite(self.train),
            "val": _finite(self.val),
            "test": _finite(self.test),
            "ensemble": self.ensemble_json(),
            "members": [member.as_json() for member in self.members],
            "picture": None if self.picture is None else str(self.picture),
            "notes": list(self.notes),
        }

    def ensemble_json(self) -> dict[str, Any]:
        """Return the entry `ensemble` of `run.json`: all but the members."""

        def plain(value: Any) -> Any:
            if isinstance(value, tuple):
                return [plain(item) for item in value]
            if hasattr(value, "__dataclass_fields__"):
                return {key: plain(item) for key, item in vars(value).items()}
            return _finite(value)

        names = ("comparison", "calibration", "temperature_scaling", "curve", "relative_seconds", "relative_parameters")
        unseen = None if self.unseen is None else {"kind": self.unseen_kind, "figures": _finite(self.unseen)}
        return {**{name: plain(getattr(self, name)) for name in names}, "unseen": unseen}
