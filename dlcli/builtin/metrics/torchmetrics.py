"""The metric `torchmetrics`."""

import difflib
import inspect
import warnings
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from dlcli import CLASSIFICATION, REGRESSION, Metric, PluginError, Task, UsageError, probabilities

PREFIXES = {"Binary": Task.BINARY, "Multiclass": Task.MULTICLASS, "Multilabel": Task.MULTILABEL}


class TorchMetrics(Metric):
    """Any metric for classification or regression of the package torchmetrics, by the name of its class.

    It gets probabilities, or the answers of a regression; one that gives several numbers is refused. States that add
    are kept for each batch; of any other metric all answers are kept until the end. A row of weight 2 counts as two
    rows; torchmetrics has no other weights. Importing it takes seconds. It comes with pip install "dlcli[metrics]".

    Args:
        metric: Name of the class, such as `MatthewsCorrCoef` or `MulticlassSpecificity`.
        arguments: What it is made with; `task`, `num_classes` and `num_labels` are the data's where left out.
        better: `higher` or `lower`, for a class that does not say so itself; None for one that does.

    Source: Detlefsen et al. 2022, "TorchMetrics - Measuring reproducibility in PyTorch".
    """

    name: ClassVar[str] = "torchmetrics"
    lowest: ClassVar[float | None] = None
    highest: ClassVar[float | None] = None
    needs_probabilities: ClassVar[bool] = True
    concatenates: ClassVar[bool] = True

    metric: str = Field("MeanSquaredError", description="name of the class in torchmetrics")
    arguments: dict[str, Any] = Field({}, description="what the class is made with")
    better: Literal["higher", "lower"] | None = Field(None, description="where the class does not say: what is better")

    @property
    def tasks(self) -> frozenset[Task]:  # type: ignore[override]
        """Tasks of the class; all where there is no such class, which `check` tells."""
        classes = _classes()
        if self.metric not in classes:
            return CLASSIFICATION | REGRESSION
        if classes[self.metric].__module__.startswith("torchmetrics.regression"):
            return REGRESSION
        common = {task for prefix, task in PREFIXES.items() if f"{prefix}{self.metric}" in classes}
        own = {task for prefix, task in PREFIXES.items() if self.metric.startswith(prefix)}
        return frozenset(common or own)

    @property
    def direction(self) -> Literal["min", "max"]:  # type: ignore[override]
        """Which of two values is the better."""
        return "max" if self._says() or self.better == "higher" else "min"

    def check(self, task: Task, outputs: int) -> None:
        """Refuse a class that is not there or does not fit, by trying it on a few rows."""
        if self.metric not in (known := _classes()):
            close = difflib.get_close_matches(self.metric, known, n=1)
            common = ", ".join(sorted(name for name in known if not name.startswith(tuple(PREFIXES))))
            raise ValueError(
                f"torchmetrics has no metric {self.metric!r} for classification or regression; "
                + (f"did you mean {close[0]!r}?" if close else f"there are {common}, and those of one task")
            )
        if (self._says() is None) == (self.better is None):
            says = {None: "does not say", True: "says higher", False: "says lower"}[self._says()]
            do = 'set better = "higher" or "lower"' if self.better is None else "leave better out"
            raise ValueError(f"torchmetrics {says} of what is better in {self.metric}: {do}")
        try:
            output, target = _few_rows(task, outputs)
            made = self._made(task, outputs)
            _feed(made, output, target, task)
            value = _computed(made)
        except Exception as error:  # whatever torchmetrics raises
            raise ValueError(
                f"torchmetrics' {self.metric} with arguments = {self.arguments} fails for a {task} task with "
                f"{outputs} outputs: {error}"
            ) from error
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise ValueError(
                f"torchmetrics' {self.metric} gives more than one number: set its arguments, or take another"
            )

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return its states, or answers and targets, of rows as often as their weights say."""
        if bool((weight != weight.round()).any()):
            raise UsageError(
                f"torchmetrics' {self.metric} takes whole row weights alone, got "
                f"{float(weight[weight != weight.round()][0]):g}: take one of dlcli's own metrics, or no row weights"
            )
        index = torch.arange(len(weight)).repeat_interleave(weight.long())
        output, target, task = output[index], target[index], self._task(output, target)
        made = self._made(task, output.shape[-1])
        if not _adds(made):
            return {"output": output, "target": target.double()}
        # Only an update gives states their shape, so that without rows it is one of a row that does not count.
        empty = output.new_full((1, *output.shape[1:]), 0.5), target.new_zeros((1, *target.shape[1:]))
        _feed(made, *((output, target) if len(index) else empty), task)
        states = {name: state.double() for name, state in made.metric_state.items()}
        if not len(index):
            states = {name: torch.zeros_like(state) for name, state in states.items()}
        counted = {f"rows {task} {output.shape[-1]}": output.new_tensor(len(index))}
        return {name: state.unsqueeze(0) for name, state in {**states, **counted}.items()}

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return what torchmetrics computes of all rows; NaN without rows."""
        if "target" in statistics and "output" in statistics:
            output, target = statistics["output"], statistics["target"]
            rows, task = len(output), self._task(output, target)
            made = self._made(task, output.shape[-1])
            if rows:
                _feed(made, output, target, task)
        else:
            *names, counted = statistics
            rows, (_, read, outputs) = int(statistics[counted].sum()), counted.split()
            made = self._made(Task(read), int(outputs))
            defaults = made.metric_state
            made.merge_state({name: statistics[name].sum(0).to(defaults[name].dtype) for name in names})
        value: Tensor = _computed(made) if rows else torch.tensor(torch.nan)
        return value.double().reshape(())

    def _says(self) -> bool | None:
        """Return whether the class says that higher is better; None where it says nothing."""
        classes = _classes()
        named = [classes.get(f"{prefix}{self.metric}") for prefix in ("", *PREFIXES)]
        said = (cls.higher_is_better for cls in named if cls is not None)
        return next((each for each in said if isinstance(each, bool)), None)

    def _task(self, output: Tensor, target: Tensor) -> Task:
        tasks = self.tasks
        if tasks == REGRESSION:
            return Task.REGRESSION
        if target.ndim == 1:
            return Task.MULTICLASS
        return Task.BINARY if output.shape[-1] == 1 and Task.BINARY in tasks else Task.MULTILABEL

    def _made(self, task: Task, outputs: int) -> Any:
        """Return a fresh object of the class, in float64, with what the data says filled in."""
        cls = _classes()[self.metric]
        wrapper = "task" in inspect.signature(cls.__new__).parameters
        takes = inspect.signature(cls.__new__ if wrapper else cls).parameters
        known: dict[str, Any] = {"task": str(task)}
        known |= {Task.MULTICLASS: {"num_classes": outputs}, Task.MULTILABEL: {"num_labels": outputs}}.get(task, {})
        given = {name: value for name, value in known.items() if name in takes}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that answers are kept, which is said above
            return cls(**{**given, **self.arguments}).set_dtype(torch.float64)


def _classes() -> dict[str, Any]:
    """Return torchmetrics' classes for classification and regression by name."""
    try:
        from torchmetrics import classification, regression
    except ImportError:
        raise PluginError(
            "the metric torchmetrics needs the package of that name, which is not installed: "
            'pip install "dlcli[metrics]"'
        ) from None
    return {name: getattr(module, name) for module in (classification, regression) for name in module.__all__}


def _adds(made: Any) -> bool:
    """Return whether all states of a metric are sums that start from 0."""
    from torchmetrics.utilities import dim_zero_sum

    states = made.metric_state.items()
    sums = all(isinstance(state, Tensor) and made._reductions[name] is dim_zero_sum for name, state in states)
    return sums and made.full_state_update is False and not any(state.any() for _, state in states)


def _feed(made: Any, output: Tensor, target: Tensor, task: Task) -> None:
    if output.shape[-1] == 1 and task in (Task.BINARY, Task.REGRESSION):
        output, target = output.squeeze(-1), target.squeeze(-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.update(output, target.long() if task.classifies else target.double())


def _computed(made: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of absent classes, and that states were merged instead of updated
        return made.compute()


def _few_rows(task: Task, outputs: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    output = torch.rand(4, outputs, generator=generator, dtype=torch.float64) + 0.1
    rows = torch.arange(4)
    if task is Task.MULTICLASS:
        return probabilities(output, task), rows % outputs
    if task.classifies:
        return probabilities(output, task), (rows % 2).unsqueeze(1).expand(4, outputs)
    return output, output.flip(0)
