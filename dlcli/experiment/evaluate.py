"""The use case behind `dlcli evaluate`: how good any run is on a split of its own or of another file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dlcli.contracts.metric import Metric
from dlcli.experiment.address import Address
from dlcli.experiment.evaluation.answers import Answers, answers_of
from dlcli.experiment.evaluation.bootstrap import Bootstrap, Interval, as_pairs, bootstrap_intervals, check_level
from dlcli.experiment.evaluation.opened_run import OpenedRun, open_run
from dlcli.experiment.evaluation.tables import (
    CalibrationTable,
    ClassFigures,
    Confusion,
    TargetFigures,
    calibration_table,
    class_figures,
    confusion_of,
    macro_average,
    target_figures,
)
from dlcli.experiment.evaluation.worst_rows import WorstRow, check_worst, parts_of_file, worst_rows
from dlcli.experiment.models.answering import interface_of
from dlcli.experiment.models.outputs import figures_of
from dlcli.experiment.prepare import field_mappings
from dlcli.experiment.run_directory import RUNS
from dlcli.experiment.summary import finite_tree
from dlcli.plugins import Plugins, load_plugins
from dlcli.registry import Registry

LEVEL, WORST = 95.0, 5
"""Level of confidence intervals in percent, and how many of the worst rows are told, where nothing is asked for."""


@dataclass(frozen=True)
class Evaluation:
    """How good a run is on rows.

    Args:
        run: The run, or the member of it.
        data: The file.
        split: The split.
        rows: How many rows.
        metrics: The loss and each metric of the recipe, by name.
        note: What must be known to read the figures; None where nothing need be.
        spread: How far members differ, as `spread_of` says; None where no two do answer.
        task: The task; empty where not known.
        positions: How many positions of sequences count, padding left out; None where a row has one answer.
        weighted: Whether rows have weights; amounts in tables are then sums of weights.
        intervals: A confidence interval of each figure, by name, None for one that has none; empty where none were
            asked for.
        bootstrap: How the intervals were made; None where there are none.
        confusion: Which class was taken for which; None but for binary and multiclass.
        classes: Figures of each class or label; none for regression.
        mean_of_classes: Their mean over the classes that occur; None for regression.
        calibration: Confidence against accuracy; None for regression.
        targets: Figures of each target of a regression.
        worst: The rows with the highest loss.
        own_data: Whether the data is the run's own, not given with `--data`.
    """

    run: Address
    data: Path
    split: str
    rows: int
    metrics: dict[str, float]
    note: str | None = None
    spread: dict[str, float] | None = None
    task: str = ""
    positions: int | None = None
    weighted: bool = False
    intervals: Mapping[str, Interval | None] = field(default_factory=dict)
    bootstrap: Bootstrap | None = None
    confusion: Confusion | None = None
    classes: tuple[ClassFigures, ...] = ()
    mean_of_classes: ClassFigures | None = None
    calibration: CalibrationTable | None = None
    targets: tuple[TargetFigures, ...] = ()
    worst: tuple[WorstRow, ...] = ()
    own_data: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints and the file in the run's directory holds."""
        table = {
            "run": str(self.run),
            "data": str(self.data),
            "split": self.split,
            "rows": self.rows,
            "metrics": self.metrics,
            "note": self.note,
            "spread": self.spread,
            "task": self.task,
            "positions": self.positions,
            "weighted": self.weighted,
            "intervals": as_pairs(self.intervals),
            "bootstrap": None if self.bootstrap is None else asdict(self.bootstrap),
            "confusion": None if self.confusion is None else self.confusion.as_json(),
            "classes": [asdict(each) for each in self.classes],
            "mean_of_classes": None if self.mean_of_classes is None else asdict(self.mean_of_classes),
            "calibration": None if self.calibration is None else asdict(self.calibration),
            "targets": [each.as_json() for each in self.targets],
            "worst": [asdict(each) for each in self.worst],
        }
        return {key: finite_tree(value) for key, value in table.items()}


def evaluate(
    run: str | Path,
    *,
    data: str | Path | None = None,
    split: str = "test",
    device: str | None = None,
    runs: str | Path = RUNS,
    ci: float = LEVEL,
    worst: int = WORST,
    plugins: Plugins | None = None,
) -> Evaluation:
    """Evaluate a run's model; nothing is written.

    Args:
        run: Its path, `NAME/0001`, or `NAME`; `RUN@fold-3` for a member of it.
        data: Another HDF5 file of the same layout; the run's own where None.
        split: `train`, `val` or `test`, `all` for every row, or `fold` for the rows that a fold's model has not seen.
        device: Where to compute; the recipe's where None.
        runs: Folder of all runs.
        ci: Level of the confidence intervals in percent, from 50 to 99.9; 0 for none.
        worst: How many of the rows with the highest loss are told, ≥ 0.
        plugins: Loaded plugins; loaded here where None.

    Returns:
        The figures, their intervals, and the tables.

    Raises:
        UsageError: There is no such run or split, the run was trained on its validation rows, or a number is out of
            its range.
        DataError: The file cannot be used, or does not fit the model.
    """
    check_level(ci)
    check_worst(worst)
    plugins = plugins or load_plugins()
    opened = open_run(run, data=data, split=split, device=device, runs=runs, plugins=plugins)
    said, judge = opened.say(), opened.judge
    answers = answers_of(said.outputs, judge, opened.batches, opened.rows, opened.groups)
    intervals, bootstrap = bootstrap_intervals(answers, judge.metrics, ci, opened.recipe.seed)
    return Evaluation(
        run=opened.address,
        data=opened.path,
        split=split,
        rows=len(opened.rows),
        metrics=figures_of(said.outputs, judge, opened.batches, opened.rows),
        note=opened.note,
        spread=said.spread,
        task=str(opened.model.task),
        positions=None if answers.position is None else len(answers),
        weighted=answers.weighted,
        intervals=intervals,
        bootstrap=bootstrap,
        own_data=data is None,
        **_tables(opened, answers, worst, plugins.registry),
    )


def _tables(opened: OpenedRun, answers: Answers, worst: int, registry: Registry) -> dict[str, Any]:
    model = opened.model
    confusion = confusion_of(answers, model.classes)
    classes = class_figures(answers, model.classes, confusion)
    own = next((each for each in opened.judge.metrics.values() if each.name == "ece"), None)
    parts = parts_of_file(opened.path, field_mappings(opened.recipe)) if worst else {}
    return {
        "confusion": confusion,
        "classes": classes,
        "mean_of_classes": macro_average(classes) if classes else None,
        "calibration": calibration_table(answers, own or registry.component(Metric, "dlcli:ece")),
        "targets": target_figures(answers, interface_of(model).columns),
        "worst": worst_rows(answers, model.classes, worst, opened.rows, parts),
    }
