"""Laws of metrics."""

import torch
from torch import Tensor

from dlcli import Metric, Task, probabilities
from dlcli.testing.examples import OUTPUTS, ideal_outputs, sample_outputs
from dlcli.testing.law import Case, Law, assert_close

ROWS = 40
Rows = tuple[Tensor, Tensor, Tensor]


def figure(metric: Metric, *batches: Rows) -> Tensor:
    """Return the metric over batches of (output, target, weight)."""
    statistics = [metric.update(*batch) for batch in batches]
    join = torch.cat if metric.concatenates else lambda tensors: torch.stack(tensors).sum(0)
    return metric.compute({key: join([each[key] for each in statistics]) for key in statistics[0]})


def rows(case: Case, task: Task, seed: int = 0) -> Rows:
    """Draw rows for a metric, with weights of one."""
    output, target = sample_outputs(task, ROWS, case.generator(seed))
    return read(case, task, output), exact(target), torch.ones(ROWS, dtype=torch.float64)


def read(case: Case, task: Task, output: Tensor) -> Tensor:
    """Return outputs as the metric gets them: float64, probabilities where it needs them."""
    output = output.double()
    return probabilities(output, task) if case.component.needs_probabilities else output


def exact(target: Tensor) -> Tensor:
    """Return a target with floating numbers as float64."""
    return target.double() if target.is_floating_point() else target


def cut(batch: Rows, start: int, stop: int) -> Rows:
    """Return some rows of a batch."""
    output, target, weight = batch
    return output[start:stop], target[start:stop], weight[start:stop]


def adds_over_batches(case: Case) -> None:
    """However the rows are cut into batches, of one row too, the figure is the same: a 0-d float64 tensor."""
    for task in sorted(case.component.tasks):
        batch = rows(case, task)
        whole = figure(case.component, batch)
        assert whole.shape == (), f"{case.label} for {task}: compute gives {tuple(whole.shape)}, expected a 0-d tensor"
        assert whole.dtype == torch.float64, f"{case.label} for {task}: compute gives {whole.dtype}, expected float64"
        for places in ((0, 13, ROWS), (0, 1, 2, 30, ROWS), range(ROWS + 1)):
            pieces = [cut(batch, start, stop) for start, stop in zip(places, places[1:], strict=False)]
            message = f"{case.label} for {task}: the figure over {len(pieces)} batches is not that of all rows at once"
            assert_close(figure(case.component, *pieces), whole, message, 1e-9)


def stays_in_its_range(case: Case) -> None:
    """Its figures are between `lowest` and `highest`, for outputs that are right, wrong or random."""
    metric: Metric = case.component
    low = -torch.inf if metric.lowest is None else metric.lowest
    high = torch.inf if metric.highest is None else metric.highest
    assert low < high, f"{case.label}: lowest is {low}, highest is {high}"
    for task in sorted(metric.tasks):
        _, target, weight = rows(case, task)
        ideal = ideal_outputs(task, target)
        wrong = -ideal if task.classifies else ideal + 1.0
        for output in (read(case, task, ideal), read(case, task, wrong), rows(case, task, seed=1)[0]):
            value = float(figure(metric, (output, target, weight)))
            assert low - 1e-9 <= value <= high + 1e-9, f"{case.label} for {task}: {value} is not in [{low}, {high}]"


def knows_its_direction(case: Case) -> None:
    """Outputs that are right have a better figure than outputs that are wrong, by its own `direction`."""
    metric: Metric = case.component
    for task in sorted(metric.tasks):
        _, target, weight = rows(case, task)
        ideal = ideal_outputs(task, target)
        wrong = -ideal if task.classifies else ideal + 1.0
        good, bad = (float(figure(metric, (read(case, task, each), target, weight))) for each in (ideal, wrong))
        message = f"{case.label} for {task}: {good} when right, {bad} when wrong, but its direction is"
        assert good < bad if metric.direction == "min" else good > bad, f"{message} {metric.direction}"


def a_row_of_weight_zero_does_not_count(case: Case) -> None:
    """Rows of weight 0 change nothing."""
    for task in sorted(case.component.tasks):
        output, target, weight = rows(case, task)
        whole = figure(case.component, cut((output, target, weight), 0, 25))
        weight[25:] = 0
        message = f"{case.label} for {task}: rows of weight 0 change the figure"
        assert_close(figure(case.component, (output, target, weight)), whole, message, 1e-9)


def a_row_of_weight_two_counts_twice(case: Case) -> None:
    """A row of weight 2 counts as the same row twice."""
    for task in sorted(case.component.tasks):
        batch = rows(case, task)
        output, target, weight = batch
        heavy = output, target, torch.where(torch.arange(ROWS) < 10, 2.0, weight)
        message = f"{case.label} for {task}: rows of weight 2 do not count twice"
        assert_close(figure(case.component, heavy), figure(case.component, batch, cut(batch, 0, 10)), message, 1e-9)


def is_nan_without_rows(case: Case) -> None:
    """Where every row has weight 0 there is no figure: NaN, and no error."""
    for task in sorted(case.component.tasks):
        output, target, weight = rows(case, task)
        value = float(figure(case.component, (output, target, 0 * weight)))
        assert value != value, f"{case.label} for {task}: without any weight the figure is {value}, expected NaN"


def fits_its_tasks(case: Case) -> None:
    """With its defaults it fits the data of each of its tasks."""
    for task in sorted(case.component.tasks):
        try:
            case.component.check(task, OUTPUTS[task])
        except ValueError as error:
            raise AssertionError(f"{case.label} for {task}: its defaults do not fit {OUTPUTS[task]} outputs") from error


LAWS = tuple(
    Law(check, ("metric",))
    for check in (
        adds_over_batches,
        stays_in_its_range,
        knows_its_direction,
        a_row_of_weight_zero_does_not_count,
        a_row_of_weight_two_counts_twice,
        is_nan_without_rows,
        fits_its_tasks,
    )
)
