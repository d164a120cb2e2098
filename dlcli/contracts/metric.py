"""The contract of a metric."""

from abc import abstractmethod
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from dlcli.contracts.component import Component
from dlcli.contracts.task import Task

Statistics = dict[str, Tensor]


class Metric(Component):
    """A figure over rows, from statistics that add over batches.

    Class attributes: `tasks` it is defined for; `direction`, `min` or `max`, which of two values is the better;
    `lowest` and `highest` possible value (None where unbounded); `needs_probabilities`, whether `update` gets
    probabilities instead of raw outputs; `concatenates`, True for rank metrics, whose statistics are scores that are
    concatenated over batches along the first dimension instead of added. What depends on a component's parameters may
    be a property instead; it is read from the component, never from the class.

    Args:
        id: What its figure is called, such as `f1_micro`; None for its name. Needed where a recipe has a metric twice.
    """

    kind: ClassVar[str] = "metric"
    tasks: ClassVar[frozenset[Task]]
    direction: ClassVar[Literal["min", "max"]]
    lowest: ClassVar[float | None]
    highest: ClassVar[float | None]
    needs_probabilities: ClassVar[bool] = False
    concatenates: ClassVar[bool] = False

    id: str | None = Field(
        None, pattern="^[A-Za-z][A-Za-z0-9_]*$", description="what its figure is called; None for its name"
    )

    @property
    def label(self) -> str:
        """What its figure is called."""
        return self.id or self.name

    @abstractmethod
    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> Statistics:
        """Return the statistics of one batch.

        Args:
            output: (B, O), float64: probabilities where `needs_probabilities`, else raw outputs.
            target: (B,) class indices for multiclass; the output's shape otherwise.
            weight: (B,) weights ≥ 0, float64. Positions of sequences arrive flattened into B, padding left out.

        Returns:
            Tensors by name, float64.
        """

    @abstractmethod
    def compute(self, statistics: Statistics) -> Tensor:
        """Return the figure, a 0-d tensor, from the statistics of all batches; NaN where it is undefined."""

    def check(self, task: Task, outputs: int) -> None:
        """Raise a ValueError where the parameters do not fit the data, such as a number of classes that there are not.

        Args:
            task: One of `tasks`.
            outputs: Width O of the network's output.
        """
