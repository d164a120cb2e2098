"""The use case behind `dlcli evaluate --compare`: two runs on the same rows, and whether they differ."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlcli.contracts.history import Direction
from dlcli.contracts.member import Member
from dlcli.contracts.task import Task
from dlcli.errors import UsageError
from dlcli.experiment.address import Address
from dlcli.experiment.evaluate import LEVEL
from dlcli.experiment.evaluation.answers import Answers, answers_of
from dlcli.experiment.evaluation.bootstrap import (
    Bootstrap,
    Interval,
    Resampled,
    as_pairs,
    by_unit,
    check_level,
    counts_drawn,
    intervals_of,
    replicates_for,
)
from dlcli.experiment.evaluation.opened_run import OpenedRun, open_run
from dlcli.experiment.evaluation.paired_tests import mcnemar_test, sign_flip_test
from dlcli.experiment.evaluation.same_rows import check_same_rows, judges_of
from dlcli.experiment.evaluation.verdict import limits_of, verdict_of
from dlcli.experiment.models.outputs import figures_of
from dlcli.experiment.run_directory import RUNS
from dlcli.experiment.summary import finite_tree
from dlcli.plugins import Plugins, load_plugins


@dataclass(frozen=True)
class LossTest:
    """Whether the losses of rows differ by more than chance.

    Args:
        p_value: Of the paired test by flipping signs.
        method: How it was computed: `exact`, `random signs` or `normal`.
    """

    p_value: float
    method: str


@dataclass(frozen=True)
class McNemar:
    """Whether one model is right more often, by McNemar's exact test.

    Args:
        first_alone: Rows that the first alone has right.
        second_alone: Rows that the second alone has right.
        p_value: Of the test.
    """

    first_alone: int
    second_alone: int
    p_value: float


@dataclass(frozen=True)
class RunComparison:
    """Two runs on the same rows.

    Args:
        first: A run, or a member of one.
        second: Another.
        data: The file.
        split: The split.
        rows: How many rows.
        metrics: Of the first and of the second: the loss and each metric of either, by name.
        directions: Of each figure which way is better, `min` or `max`.
        intervals: A paired confidence interval of each difference, second minus first; empty where none were asked for.
        bootstrap: How they were made; None where there are none.
        loss_test: The test of the losses; None where there are not two units, or a loss is not finite.
        mcnemar: The test of right answers; None where they are not one a row, alike and independent.
        verdict: What this means.
        limits: What it does not say, and what would.
        notes: What must be known to read the figures.
        own_data: Whether the data is the runs' own.
    """

    first: Address
    second: Address
    data: Path
    split: str
    rows: int
    metrics: tuple[Mapping[str, float], Mapping[str, float]]
    directions: Mapping[str, Direction]
    intervals: Mapping[str, Interval | None]
    bootstrap: Bootstrap | None
    loss_test: LossTest | None
    mcnemar: McNemar | None
    verdict: str
    limits: tuple[str, ...]
    notes: tuple[str, ...] = ()
    own_data: bool = True

    @property
    def differences(self) -> dict[str, float]:
        """Each figure of the second minus that of the first."""
        first, second = self.metrics
        return {name: second[name] - first[name] for name in first}

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints and the file in the first run's directory holds."""
        table = {
            "first": str(self.first),
            "second": str(self.second),
            "data": str(self.data),
            "split": self.split,
            "rows": self.rows,
            "metrics": {"first": self.metrics[0], "second": self.metrics[1], "difference": self.differences},
            "intervals": as_pairs(self.intervals),
            "bootstrap": None if self.bootstrap is None else asdict(self.bootstrap),
            "loss_test": None if self.loss_test is None else asdict(self.loss_test),
            "mcnemar": None if self.mcnemar is None else asdict(self.mcnemar),
            "verdict": self.verdict,
            "limits": list(self.limits),
            "notes": list(self.notes),
        }
        return {key: finite_tree(value) for key, value in table.items()}


def compare(
    first: str | Path,
    second: str | Path,
    *,
    data: str | Path | None = None,
    split: str = "test",
    device: str | None = None,
    runs: str | Path = RUNS,
    ci: float = LEVEL,
    plugins: Plugins | None = None,
) -> RunComparison:
    """Compare two runs on the same rows, both judged by the first one's loss and by the metrics of either.

    Args:
        first: A run: its path, `NAME/0001`, or `NAME`; `RUN@fold-3` for a member of it.
        second: Another.
        data: Another HDF5 file of the same layout; the runs' own where None.
        split: As `dlcli.evaluate` has it.
        device: Where to compute; the recipes' where None.
        runs: Folder of all runs.
        ci: Level of the confidence intervals in percent, from 50 to 99.9; 0 for none.
        plugins: Loaded plugins; loaded here where None.

    Returns:
        Figures of both, their differences with intervals, tests, and what they mean.

    Raises:
        UsageError: There is no such run or split, or the rows of the two are not the same.
        DataError: The file cannot be used, or does not fit a model.
    """
    check_level(ci)
    plugins = plugins or load_plugins()
    one, other = (
        open_run(run, data=data, split=split, device=device, runs=runs, plugins=plugins) for run in (first, second)
    )
    if one.address == other.address:
        raise UsageError(f"both are {one.address}; name two runs, or two members of one")
    check_same_rows(one, other)
    judges = judges_of(one.judge, other.judge)
    first_outputs, second_outputs = (opened.say().outputs for opened in (one, other))
    if judges[1].loss.outputs_per_target == 1:  # the second may have been trained with a loss that has several
        second_outputs = other.judge.loss.prediction(second_outputs)
    outputs = (first_outputs, second_outputs)
    both = tuple(
        answers_of(said, judge, opened.batches, opened.rows, opened.groups)
        for said, judge, opened in zip(outputs, judges, (one, other), strict=True)
    )
    metrics = tuple(
        figures_of(said, judge, opened.batches, opened.rows)
        for said, judge, opened in zip(outputs, judges, (one, other), strict=True)
    )
    seed = one.recipe.seed
    intervals, bootstrap = _intervals(both[0], both[1], judges[0], ci, seed)
    test = _loss_test(both[0], both[1], seed)
    difference = metrics[1]["loss"] - metrics[0]["loss"]
    significance = 1 - (ci or LEVEL) / 100
    opened_runs = ((one.address, one.facts), (other.address, other.facts))
    p_value = None if test is None else test.p_value
    verdict = verdict_of(difference, p_value, significance, both[0], seen=split == "train")
    return RunComparison(
        first=one.address,
        second=other.address,
        data=one.path,
        split=split,
        rows=len(one.rows),
        metrics=(metrics[0], metrics[1]),
        directions={"loss": "min", **{name: metric.direction for name, metric in judges[0].metrics.items()}},
        intervals=intervals,
        bootstrap=bootstrap,
        loss_test=test,
        mcnemar=_mcnemar(both[0], both[1]),
        verdict=verdict,
        limits=(*_disagreement(intervals, test, significance), *limits_of(opened_runs, split)),
        notes=_notes(one, other),
        own_data=data is None,
    )


def _disagreement(
    intervals: Mapping[str, Interval | None], test: LossTest | None, significance: float
) -> tuple[str, ...]:
    """Explain an interval of the loss and a p-value that lie on different sides of their limits."""
    interval = intervals.get("loss")
    if interval is None or test is None or (interval.low > 0 or interval.high < 0) == (test.p_value < significance):
        return ()
    return (
        "Interval and test disagree on the loss, as two methods may near their limits; the verdict goes by the test.",
    )


def _intervals(
    one: Answers, other: Answers, judge: Member, level: float, seed: int
) -> tuple[dict[str, Interval | None], Bootstrap | None]:
    if not level or one.units < 2:
        return {}, None
    resampled = Resampled(one, judge.metrics), Resampled(other, judge.metrics)
    replicates = replicates_for(one.units, level, slow=any(each.slow for each in resampled))
    blocks: list[dict[str, Tensor]] = []
    for counts in counts_drawn(one.units, replicates, seed):
        first, second = (each(counts) for each in resampled)
        blocks.append({name: second[name] - first[name] for name in first})
    how = Bootstrap(level, replicates, "groups" if one.grouped else "rows", one.units)
    return intervals_of(blocks, ("loss", *judge.metrics), level), how


def _loss_test(one: Answers, other: Answers, seed: int) -> LossTest | None:
    if one.units < 2:
        return None
    weighted = torch.where(one.loss_weights == 0, 0.0, one.loss_weights * (other.losses - one.losses))
    if not weighted.isfinite().all():
        return None
    p_value, method = sign_flip_test(by_unit(weighted, one), seed)
    return LossTest(p_value, method)


def _mcnemar(one: Answers, other: Answers) -> McNemar | None:
    if one.position is not None or one.grouped or one.weighted:
        return None
    if one.task is Task.MULTICLASS:
        right = [each.output.argmax(dim=-1) == each.target for each in (one, other)]
    elif one.task is Task.BINARY:
        right = [((each.output > 0) == (each.target > 0))[:, 0] for each in (one, other)]
    else:
        return None
    alone = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    return McNemar(*alone, mcnemar_test(*alone))


def _notes(one: OpenedRun, other: OpenedRun) -> tuple[str, ...]:
    found = [f"{opened.address}: {opened.note}" for opened in (one, other) if opened.note]
    if one.judge.loss != other.judge.loss:
        found.append(f"they were trained with different losses; both are judged by that of {one.address}")
    shared = one.judge.metrics.keys() & other.judge.metrics.keys()
    if any(one.judge.metrics[name] != other.judge.metrics[name] for name in shared):
        found.append(f"settings of metrics differ; those of {one.address} count")
    if one.split == "val":
        found.append("the validation rows chose the best epoch of each, so both look better on them than they are")
    return tuple(found)
