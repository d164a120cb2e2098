"""The model that a run amounts to: preprocessing and network in one module, from raw fields to outputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

import torch
from torch import Tensor, nn

from dlcli.contracts.architecture import Architecture
from dlcli.contracts.dataset import Dataset
from dlcli.contracts.field import Field, InputOutput
from dlcli.contracts.loss import Loss
from dlcli.contracts.member import Member
from dlcli.contracts.metric import Metric
from dlcli.contracts.preprocessor import Preprocessing, Preprocessor
from dlcli.contracts.task import Task, probabilities
from dlcli.data.preprocessing import columns_dimension, network_dtype, output_field
from dlcli.errors import DataError


@dataclass(frozen=True)
class ModelDescription:
    """All of a model but its tensors.

    Args:
        architecture: Builds the network.
        io: What the network is built for, after preprocessing.
        inputs: The raw input fields, in order.
        conditions: The raw condition fields, in order.
        target: The target field.
        preprocess: For each field by name, what is applied to it, in order.
        loss: The loss that it was trained with.
        metrics: The metrics of its recipe, by name.
        columns: For an input field: the columns that the network sees after preprocessing, channels of an image.
        length: The field that says how many steps of a row are valid, where the data has one.
        mask: The field that says which positions count, where the data has one.
        target_scaled: Whether the network ends by putting targets into their own units.
    """

    architecture: Architecture
    io: InputOutput
    inputs: tuple[Field, ...]
    conditions: tuple[Field, ...]
    target: Field
    preprocess: Mapping[str, tuple[Preprocessor, ...]]
    loss: Loss
    metrics: Mapping[str, Metric]
    columns: Mapping[str, tuple[int, ...]] = dataclass_field(default_factory=dict)
    length: Field | None = None
    mask: Field | None = None
    target_scaled: bool = False

    @property
    def seen(self) -> tuple[Field, ...]:
        """Inputs and conditions after preprocessing."""
        return tuple(output_field(f, self.preprocess.get(f.name, ())) for f in (*self.inputs, *self.conditions))

    @property
    def fields(self) -> tuple[Field, ...]:
        """All raw fields that the model is given: inputs, conditions, then a length and a mask."""
        return (*self.inputs, *self.conditions, *(field for field in (self.length, self.mask) if field is not None))


class _Fitted(nn.Module):
    """One fitted preprocessor as a module: its state are buffers."""

    def __init__(self, component: Preprocessor, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.component = component
        for name, tensor in state.items():
            self.register_buffer(name, tensor.clone())

    def forward(self, batch: Tensor) -> Tensor:
        return self.component.apply(dict(self.named_buffers()), batch)


class Model(nn.Module):
    """A trained network from raw field tensors to outputs; in eval mode.

    Args:
        description: What it is.
        network: The network.
        preprocessing: What is applied to each field before it.

    Shape:
        One raw tensor a field, as in the dataset but with images channels first (B, C, H, W); out come logits
        (B, O), or targets in their own units for regression.
    """

    def __init__(self, description: ModelDescription, network: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.description = description
        self.network = network
        self.preprocessing = preprocessing
        self._seen = description.seen
        self.preprocess = nn.ModuleList(
            nn.Sequential(*(_Fitted(fitted.component, fitted.state) for fitted in preprocessing.get(field.name, ())))
            for field in (*description.inputs, *description.conditions)
        )
        for name, columns in description.columns.items():
            self.register_buffer(f"columns_{name}", torch.tensor(columns), persistent=False)
        self.eval()

    @property
    def task(self) -> Task:
        """The task that it answers."""
        return self.description.io.task

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes or labels; empty for regression."""
        return self.description.io.classes

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The raw input fields, in the order in which they are given."""
        return self.description.inputs

    def forward(self, *inputs: Tensor, **extra: Any) -> Tensor:
        """Return logits, or targets for regression; arguments as those of `raw_outputs`."""
        return self.description.loss.prediction(self.raw_outputs(*inputs, **extra))

    def raw_outputs(
        self,
        *inputs: Tensor,
        conditions: tuple[Tensor, ...] = (),
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return the network's outputs as its loss takes them: with several a target (B, k · O), else as `forward`.

        Conditions may also follow the inputs, without the keyword.
        """
        fields, given = self._seen, (*inputs, *conditions)
        if len(given) != len(fields):
            names = ", ".join(field.name for field in fields)
            raise DataError(f"the model takes {len(fields)} tensors ({names}), got {len(given)}")
        ready = tuple(
            self._chosen(field, module(tensor).to(network_dtype(field.kind)))
            for field, module, tensor in zip(fields, self.preprocess, given, strict=True)
        )
        count = len(self.description.io.inputs)
        extra: dict[str, Any] = {"conditions": ready[count:]} if len(ready) > count else {}
        self._check_given("lengths", self.description.length, lengths)
        self._check_given("mask", self.description.mask, mask)
        if lengths is not None:
            extra["lengths"] = lengths
        if mask is not None:
            extra["mask"] = mask
        output: Tensor = self.network(*ready[:count], **extra)
        return output

    def _check_given(self, keyword: str, field: Field | None, tensor: Tensor | None) -> None:
        """Refuse rows without what says which of their steps count: padding would be read as data."""
        if field is not None and tensor is None:
            raise DataError(
                f"the model was trained with {keyword} ({field.name}) and got none, so that it would read padding: "
                f"give them as {keyword}=…, for rows without padding the number of their steps"
                if keyword == "lengths"
                else f"the model was trained with a mask ({field.name}) and got none: give it as mask=…, 1 at every "
                "position that counts"
            )

    def _chosen(self, field: Field, values: Tensor) -> Tensor:
        """Return the columns of a field that the network sees."""
        if field.name not in self.description.columns:
            return values
        return values.index_select(columns_dimension(field.kind, values), self.get_buffer(f"columns_{field.name}"))

    def probabilities(self, *inputs: Tensor, **extra: Any) -> Tensor:
        """Return probabilities (B, O), one sigmoid column for binary; targets for regression.

        Args:
            *inputs: As `forward`.
            **extra: As `forward`.

        Returns:
            Probabilities, without gradient.
        """
        with torch.no_grad():
            return probabilities(self(*inputs, **extra), self.task)


def describe(dataset: Dataset, member: Member) -> ModelDescription:
    """Gather what the model of a member must carry besides its tensors; its inputs are those of `io`, but raw."""
    return ModelDescription(
        architecture=member.architecture,
        io=member.io,
        inputs=tuple(dataset.fields.get(field.name, field) for field in member.io.inputs),
        conditions=dataset.by_role("condition"),
        target=dataset.target,
        preprocess={name: tuple(step.component for step in chain) for name, chain in member.preprocessing.items()},
        loss=member.loss,
        metrics=member.metrics,
        columns={name: tuple(map(int, chosen)) for name, chosen in member.input_columns.items()},
        target_scaled=member.target_scale is not None,
        length=next(iter(dataset.by_role("length")), None),
        mask=next(iter(dataset.by_role("mask")), None),
    )
