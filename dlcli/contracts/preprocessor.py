"""The contract of a preprocessor, and a preprocessor with the state that was fitted."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from dlcli.contracts.component import Component
from dlcli.contracts.field import Field

State = dict[str, Tensor]
"""Tensors by name."""


class Preprocessor(Component):
    """Changes an input before the network sees it; fitted on training rows only, and part of the saved model.

    `fit` may see the rows in chunks: `merge` joins the states of two chunks, so that any split of the rows into
    chunks gives the same state up to rounding; `finish` then makes of it what is kept. States are fitted in float64 and
    kept in float32.

    Class attribute: `takes_missing`, whether it fills in missing values: NaN may come in, and none goes out. Where the
    first preprocessor of a field does, the data may lack values there; all others never see NaN.
    """

    kind: ClassVar[str] = "preprocessor"
    takes_missing: ClassVar[bool] = False

    @abstractmethod
    def accepts(self, field: Field) -> bool:
        """Return whether this preprocessor has anything to do with such a field; others pass it by."""

    @abstractmethod
    def fit(self, rows: Tensor) -> State:
        """Fit on rows.

        Args:
            rows: Raw rows (N, F) or (N, C, H, W), or the valid steps (N, F) of sequences, any dtype.

        Returns:
            State tensors that can be merged.
        """

    @abstractmethod
    def merge(self, first: State, second: State) -> State:
        """Join the states of two chunks of rows."""

    def finish(self, state: State, field: Field) -> State:
        """Turn the state of all rows into what the model keeps: the same, unless overridden.

        Args:
            state: Of `fit`, or of `merge`.
            field: The field that the rows are of, as this preprocessor gets it.

        Returns:
            What `apply` gets; its shapes depend on the component and the field alone, so that members stack.

        Raises:
            ValueError: Nothing can be made of these rows.
        """
        return state

    @abstractmethod
    def apply(self, state: Mapping[str, Tensor], batch: Tensor) -> Tensor:
        """Preprocess a batch; pure, so that it stacks over members and exports.

        Args:
            state: What `finish` returned, floating tensors in float32.
            batch: (B, F), (B, C, H, W) or (B, T, F), any dtype.

        Returns:
            The preprocessed batch, float32 unless it stays categorical.
        """

    def output(self, field: Field) -> Field:
        """Return how the field looks afterwards: the same shape as float32, unless overridden."""
        return Field(**{**vars(field), "dtype": "float32"})


@dataclass(frozen=True)
class FittedPreprocessor:
    """A preprocessor with its state.

    Args:
        component: The preprocessor.
        state: What its `finish` returned for one field.
    """

    component: Preprocessor
    state: Mapping[str, Tensor]

    def __call__(self, batch: Tensor) -> Tensor:
        """Preprocess a batch."""
        return self.component.apply(self.state, batch)


Preprocessing = Mapping[str, tuple[FittedPreprocessor, ...]]
"""For each input field by name, what is applied to it, in order."""
