"""Confidence intervals by the percentile bootstrap: figures of rows, or whole groups, drawn again with replacement."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dlcli.contracts.metric import Metric, Statistics
from dlcli.contracts.randomness import derive
from dlcli.errors import UsageError
from dlcli.experiment.evaluation.answers import Answers

REPLICATES, FEWEST, PER_TAIL = 2000, 200, 10
"""Replicates: as a rule; at least, however many rows; and how many shall lie beyond either end of an interval."""
DRAWS, SLOW_DRAWS = 50_000_000, 5_000_000
"""Rows drawn in all replicates together, about; the second where a metric must be computed anew for each."""
AT_ONCE = 8_000_000
"""Numbers in a block of work."""
KEPT = 100_000_000
"""Most numbers kept of one metric: its statistics of each unit."""
TOO_MANY = 100_000
"""With more answers, there is no interval of a metric that must be computed anew for each replicate."""
UNDEFINED = 0.1
"""There is no interval where a figure is undefined in more than this share of replicates."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Args:
        low: Its lower end.
        high: Its upper end.
    """

    low: float
    high: float


@dataclass(frozen=True)
class Bootstrap:
    """How intervals were made.

    Args:
        level: Their level, in percent.
        replicates: How many times rows were drawn.
        units: What was drawn as a whole: `rows` or `groups`.
        count: How many of them there are, and were drawn each time.
    """

    level: float
    replicates: int
    units: str
    count: int


def as_pairs(intervals: Mapping[str, Interval | None]) -> dict[str, list[float] | None]:
    """Return intervals as JSON has them: lower and upper end."""
    return {name: None if each is None else [each.low, each.high] for name, each in intervals.items()}


def check_level(ci: float) -> float:
    """Return the level of confidence intervals, in percent, or 0 for none.

    Args:
        ci: What was asked for.

    Returns:
        The same.

    Raises:
        UsageError: It is not 0, nor between 50 and 99.9.
    """
    if ci != 0 and not 50 <= ci <= 99.9:
        raise UsageError(f"--ci is a level in percent, from 50 to 99.9, or 0 for no intervals; got {ci:g}: take 95")
    return ci


class Resampled:
    """Computes the loss and the metrics for numbers of times that each unit was drawn.

    Of a metric whose statistics add, those of each unit are computed once, and a replicate is their sum: exact, since
    rows may be cut into batches anyhow. Of one that keeps scores, and of one whose `update` decides by values or keeps
    too much, a row that was drawn k times gets k times its weight.

    Args:
        answers: The answers.
        metrics: By name.
    """

    def __init__(self, answers: Answers, metrics: Mapping[str, Metric]) -> None:
        self._answers = answers
        self._others: dict[str, Metric] = {}
        additive: dict[str, Statistics] = {"loss": _loss_statistics(answers)}
        self._computed: dict[str, Callable[[Statistics], Tensor]] = {
            "loss": lambda found: found["total"] / found["weight"]
        }
        for name, metric in metrics.items():
            statistics = _unit_statistics(metric, answers)
            if statistics is not None:
                additive[name], self._computed[name] = statistics, metric.compute
            elif len(answers) <= TOO_MANY:
                self._others[name] = metric
        # Side by side in one matrix, so that all sums of a replicate are one product.
        self._shapes = {name: {key: t.shape[1:] for key, t in found.items()} for name, found in additive.items()}
        columns = [t.reshape(answers.units, -1) for found in additive.values() for t in found.values()]
        self._statistics = torch.cat(columns, dim=1)

    @property
    def slow(self) -> bool:
        """Whether a metric must be computed anew for each replicate."""
        return bool(self._others)

    def __call__(self, counts: Tensor) -> dict[str, Tensor]:
        """Return figures.

        Args:
            counts: How often each unit was drawn (M, U), int64.

        Returns:
            Of each figure M values, float64; NaN where undefined. A metric that would take too long is left out.
        """
        drawn = counts.double()
        sums, first = drawn @ self._statistics, 0
        found = {}
        for name, shapes in self._shapes.items():
            statistics = {}
            for key, shape in shapes.items():
                statistics[key] = sums[:, first : first + shape.numel()].reshape(len(counts), *shape)
                first += shape.numel()
            found[name] = _each(self._computed[name], statistics)
        answers = self._answers
        for name, metric in self._others.items():
            output, target, weight = answers.part(slice(None), as_probabilities=metric.needs_probabilities)
            values = [metric.compute(metric.update(output, target, weight * row[answers.unit])) for row in drawn]
            found[name] = torch.stack(values).double()
        return found


def replicates_for(units: int, level: float, *, slow: bool) -> int:
    """Return how many replicates to draw: 2000, more for a high level, fewer for many units."""
    wanted = max(REPLICATES, round(2 * PER_TAIL / (1 - level / 100)))
    return min(wanted, max(FEWEST, (SLOW_DRAWS if slow else DRAWS) // units))


def counts_drawn(units: int, replicates: int, seed: int) -> Iterator[Tensor]:
    """Draw units with replacement, as many as there are, again and again.

    Args:
        units: How many there are.
        replicates: How often.
        seed: The run's; the draws are a function of the arguments.

    Yields:
        Tensor: How often each unit was drawn (M, U), int64, for some replicates at a time.
    """
    generator = torch.Generator().manual_seed(derive(seed, "bootstrap"))
    size = max(1, AT_ONCE // units)
    for first in range(0, replicates, size):
        some = min(size, replicates - first)
        index = torch.randint(units, (some, units), generator=generator)
        index += torch.arange(some).unsqueeze(1) * units
        yield torch.bincount(index.flatten(), minlength=some * units).view(some, units)


def intervals_of(
    blocks: Sequence[Mapping[str, Tensor]], names: Sequence[str], level: float
) -> dict[str, Interval | None]:
    """Return the percentile interval of each figure.

    Args:
        blocks: Replicates (M,) of figures by name, some at a time.
        names: The figures.
        level: In percent.

    Returns:
        Intervals by name; None where there are no replicates, or too many are undefined.
    """
    there = [name for name in names if name in blocks[0]]
    found = {name: _interval(torch.cat([block[name] for block in blocks]), level) for name in there}
    return {name: found.get(name) for name in names}


def _interval(values: Tensor, level: float) -> Interval | None:
    defined = values[values.isfinite()]
    if len(defined) < (1 - UNDEFINED) * len(values):
        return None
    tail = (1 - level / 100) / 2
    low, high = torch.quantile(defined, torch.tensor([tail, 1 - tail], dtype=defined.dtype)).tolist()
    return Interval(low, high)


def bootstrap_intervals(
    answers: Answers, metrics: Mapping[str, Metric], level: float, seed: int
) -> tuple[dict[str, Interval | None], Bootstrap | None]:
    """Return an interval of the loss and of every metric.

    Args:
        answers: The answers.
        metrics: By name.
        level: In percent; 0 for none.
        seed: The run's.

    Returns:
        Intervals by name, None where there is none, and how they were made; empty and None for level 0, and where
        there are not two units to draw from.

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife".
    """
    if not level or answers.units < 2:
        return {}, None
    resampled = Resampled(answers, metrics)
    replicates = replicates_for(answers.units, level, slow=resampled.slow)
    blocks = [resampled(counts) for counts in counts_drawn(answers.units, replicates, seed)]
    how = Bootstrap(level, replicates, "groups" if answers.grouped else "rows", answers.units)
    return intervals_of(blocks, ("loss", *metrics), level), how


def _loss_statistics(answers: Answers) -> Statistics:
    # An answer that does not count may cost infinitely much: 0 · inf must not become NaN.
    weighted = torch.where(answers.loss_weights == 0, 0.0, answers.loss_weights * answers.losses)
    return {"total": by_unit(weighted, answers), "weight": by_unit(answers.loss_weights, answers)}


def _unit_statistics(metric: Metric, answers: Answers) -> Statistics | None:
    """Return the statistics (U, …) of every unit; None where they do not add, cannot be had row by row, or are many."""
    if metric.concatenates:
        return None

    def of_one(output: Tensor, target: Tensor, weight: Tensor) -> Statistics:
        return metric.update(output.unsqueeze(0), target.unsqueeze(0), weight.unsqueeze(0))

    found: Statistics = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of operators that vmap computes one by one
        try:
            first = torch.vmap(of_one)(*answers.part(slice(0, 1), as_probabilities=metric.needs_probabilities))
            width = sum(values[0].numel() for values in first.values())
            if width * answers.units > KEPT:
                return None
            size = max(1, AT_ONCE // max(width, answers.output.shape[-1]))
            for part in answers.parts(size):
                each = torch.vmap(of_one)(*answers.part(part, as_probabilities=metric.needs_probabilities))
                for key, values in each.items():
                    if key not in found:
                        found[key] = values.new_zeros((answers.units, *values.shape[1:]), dtype=torch.float64)
                    found[key].index_add_(0, answers.unit[part], values.double())
        except RuntimeError:
            return None  # `update` decides by values, which vmap refuses
    return found


def by_unit(values: Tensor, answers: Answers) -> Tensor:
    """Return the sum of values of answers (E,) over each unit (U,)."""
    return values.new_zeros(answers.units).index_add_(0, answers.unit, values)


def _each(compute: Callable[[Statistics], Tensor], statistics: Statistics) -> Tensor:
    """Return the figure of every replicate."""
    try:
        return torch.vmap(compute)(statistics)
    except RuntimeError:  # `compute` decides by values
        count = len(next(iter(statistics.values())))
        return torch.stack([compute({key: values[i] for key, values in statistics.items()}) for i in range(count)])
