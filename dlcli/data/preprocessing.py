"""Fitting preprocessors on training rows, and what a network gets after them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dlcli.contracts.dataset import Dataset
from dlcli.contracts.field import Field, InputOutput, Kind
from dlcli.contracts.preprocessor import FittedPreprocessor, Preprocessing, Preprocessor
from dlcli.contracts.task import Task
from dlcli.errors import DataError

CHUNK_BYTES = 64 * 2**20
"""Fitted at once, counted as the float64 that states are computed in."""


def network_dtype(kind: Kind) -> torch.dtype:
    """Return the type in which a network gets a field of a kind: int64 indices, float32 numbers."""
    return torch.int64 if kind in ("tokens", "categorical") else torch.float32


def fit_preprocessing(dataset: Dataset, preprocessors: Sequence[Preprocessor], rows: Tensor) -> Preprocessing:
    """Fit preprocessors on given rows of every input and condition, each on what the ones before it make.

    Args:
        dataset: The data.
        preprocessors: In the order in which they are applied.
        rows: Training rows, int64; no other row is looked at.

    Returns:
        For each field what is applied to it; fields that no preprocessor accepts are left out. Floating states are
        float32.

    Raises:
        DataError: No rows, a preprocessor that accepts no field, or one that cannot be fitted on these values.
    """
    if not len(rows):
        raise DataError("no rows to fit preprocessing on; a training split needs rows")
    fields = (*dataset.by_role("input"), *dataset.by_role("condition"))
    found: dict[str, tuple[FittedPreprocessor, ...]] = {}
    used: set[int] = set()
    for field in fields:
        fitted: tuple[FittedPreprocessor, ...] = ()
        seen = field
        for position, component in enumerate(preprocessors):
            if component.accepts(seen):
                used.add(position)
                fitted += (_fit(component, dataset, field, fitted, rows),)
                seen = component.output(seen)
        if fitted:
            found[field.name] = fitted
    for position, component in enumerate(preprocessors):
        if position not in used:
            kinds = ", ".join(f"{field.name} ({field.kind})" for field in fields)
            raise DataError(
                f"the preprocessor {component.name} accepts no input: {kinds}; remove it from data.preprocess"
            )
    return found


def _fit(
    component: Preprocessor, dataset: Dataset, field: Field, before: Sequence[FittedPreprocessor], rows: Tensor
) -> FittedPreprocessor:
    state = None
    try:
        for chunk in _chunks(dataset, field, rows):
            values = _valid(_apply(before, dataset.rows_of(field.name).index_select(0, chunk)), dataset, field, chunk)
            part = component.fit(values)
            state = part if state is None else component.merge(state, part)
        state = component.finish(state or {}, output_field(field, [step.component for step in before]))
    except ValueError as cause:
        raise DataError(f"the preprocessor {component.name} cannot be fitted on {field.name}: {cause}") from cause
    return _kept(component, state)


def fit_chain(preprocessors: Sequence[Preprocessor], field: Field, rows: Tensor) -> tuple[FittedPreprocessor, ...]:
    """Fit preprocessors on rows that are at hand, each on what the ones before it make.

    Args:
        preprocessors: All accept the field as it comes to them.
        field: How a row looks.
        rows: Training rows (N, F).

    Returns:
        What is applied, in order.
    """
    chain: tuple[FittedPreprocessor, ...] = ()
    for component in preprocessors:
        state = component.finish(component.fit(_apply(chain, rows)), field)
        chain, field = (*chain, _kept(component, state)), component.output(field)
    return chain


def _kept(component: Preprocessor, state: Mapping[str, Tensor]) -> FittedPreprocessor:
    """Return a preprocessor with its state as it is kept: floating tensors in float32."""
    kept = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    return FittedPreprocessor(component, kept)


def _chunks(dataset: Dataset, field: Field, rows: Tensor) -> Iterator[Tensor]:
    row = 8 * math.prod(dataset.rows_of(field.name).shape[1:])
    # States merge in any order, and what is on disk is read in its own.
    in_order = rows.sort().values if field.name in dataset.stored else rows
    return iter(torch.split(in_order, max(1, CHUNK_BYTES // max(1, row))))


def _valid(values: Tensor, dataset: Dataset, field: Field, rows: Tensor) -> Tensor:
    """Return rows as `fit` gets them: of sequences with a length the steps before it, padding left out."""
    if values.ndim != 3 or field.kind != "sequence":
        return values
    length = next((other for other in dataset.by_role("length") if other.of == field.name), None)
    if length is None:
        return values.flatten(0, 1)
    valid = torch.arange(values.shape[1]) < dataset.tensors[length.name].index_select(0, rows).unsqueeze(1)
    return values[valid]


def _apply(fitted: Sequence[FittedPreprocessor], values: Tensor) -> Tensor:
    for step in fitted:
        values = step(values)
    return values


def preprocess(fitted: Sequence[FittedPreprocessor], kind: Kind, values: Tensor) -> Tensor:
    """Turn raw rows into what a network gets.

    Args:
        fitted: What is applied, in order; on the same device as the values.
        kind: Kind of the field afterwards.
        values: Raw rows (B, …), any dtype.

    Returns:
        The preprocessed rows: int64 tokens and categories, float32 for all else.
    """
    return _apply(fitted, values).to(network_dtype(kind))


def output_field(field: Field, preprocessors: Sequence[Preprocessor]) -> Field:
    """Return how a field looks after preprocessing; preprocessors that do not accept it are passed over."""
    for component in preprocessors:
        if component.accepts(field):
            field = component.output(field)
    return field


def columns_dimension(kind: Kind, values: Tensor) -> int:
    """Return the dimension of preprocessed rows along which a field has columns: an image's channels, else the last."""
    return 1 if kind == "image" else values.ndim - 1


def input_output(dataset: Dataset, preprocessors: Sequence[Preprocessor]) -> InputOutput:
    """Return what an architecture is built for.

    Args:
        dataset: The data.
        preprocessors: In the order in which they are applied.

    Returns:
        Inputs and conditions after preprocessing, the task, and the width of the output.
    """

    def after(field: Field) -> Field:
        field = output_field(field, preprocessors)
        return replace(field, dtype=str(network_dtype(field.kind)).removeprefix("torch."))

    target, task = dataset.target, dataset.task
    return InputOutput(
        inputs=tuple(after(field) for field in dataset.by_role("input")),
        task=task,
        outputs=len(target.classes) if task is Task.MULTICLASS else target.shape[-1],
        classes=target.classes if task.classifies else (),
        conditions=tuple(after(field) for field in dataset.by_role("condition")),
        per_position=dataset.per_position,
        targets=() if task.classifies else target.names,
    )


def on_device(fitted: Sequence[FittedPreprocessor], device: torch.device) -> tuple[FittedPreprocessor, ...]:
    """Return fitted preprocessors whose states are on a device."""
    return tuple(
        FittedPreprocessor(step.component, {name: value.to(device) for name, value in step.state.items()})
        for step in fitted
    )
