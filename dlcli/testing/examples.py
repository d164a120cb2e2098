"""Inputs and outputs of every usual form, and random rows for them."""

from typing import Any

import torch
from torch import Tensor

from dlcli import Field, InputOutput, Task

FIELDS = {
    "features": Field("x", "input", "features", (5,), "float32"),
    "image": Field("x", "input", "image", (1, 8, 8), "float32"),
    "color_image": Field("x", "input", "image", (3, 8, 8), "float32"),
    "sequence": Field("x", "input", "sequence", (6, 4), "float32"),
    "tokens": Field("x", "input", "tokens", (6,), "int64", classes=tuple("abcdefg")),
    "categorical": Field("x", "input", "categorical", (), "int64", classes=("red", "green", "blue")),
}
"""An input field of every kind; sequences and tokens are six steps long."""
OUTPUTS = {Task.BINARY: 1, Task.MULTICLASS: 3, Task.MULTILABEL: 4, Task.REGRESSION: 2}
"""Width of the output for every task."""
CLASSES = {
    Task.BINARY: ("no", "yes"),
    Task.MULTICLASS: ("one", "two", "three"),
    Task.MULTILABEL: ("red", "wet", "old", "new"),
    Task.REGRESSION: (),
}


def standard_io() -> dict[str, InputOutput]:
    """Return what an architecture may be built for, by name: every kind of input, every task, several inputs."""

    def io(kinds: tuple[str, ...], task: Task, *, conditions: tuple[str, ...] = (), each: bool = False) -> InputOutput:
        inputs = tuple(Field(**{**vars(FIELDS[kind]), "name": f"x{place}"}) for place, kind in enumerate(kinds))
        given = tuple(Field(**{**vars(FIELDS[kind]), "name": "c", "role": "condition"}) for kind in conditions)
        return InputOutput(inputs, task, OUTPUTS[task], CLASSES[task], given, each)

    single = {f"{kind}_{task}": io((kind,), task) for kind in FIELDS for task in Task}
    steps = {
        f"{kind}_{task}_per_position": io((kind,), task, each=True) for kind in ("sequence", "tokens") for task in Task
    }
    return {
        **single,
        **steps,
        "two_features_multiclass": io(("features", "features"), Task.MULTICLASS),
        "image_and_features_multiclass": io(("image", "features"), Task.MULTICLASS),
        "features_with_condition_multiclass": io(("features",), Task.MULTICLASS, conditions=("categorical",)),
    }


def rows_of(field: Field, rows: int, generator: torch.Generator) -> Tensor:
    """Draw random preprocessed rows of a field: class numbers for tokens and categorical, normal numbers otherwise."""
    if field.kind in ("tokens", "categorical"):
        return torch.randint(len(field.classes), (rows, *field.shape), generator=generator)
    return torch.randn(rows, *field.shape, generator=generator)


def sample_inputs(io: InputOutput, rows: int, generator: torch.Generator) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    """Draw what a network's `forward` gets.

    Args:
        io: What the network was built for.
        rows: Rows B in the batch, ≥ 1.
        generator: Where the numbers come from.

    Returns:
        One tensor an input, and the keywords `conditions`, `lengths`, `mask`.
    """
    inputs = tuple(rows_of(field, rows, generator) for field in io.inputs)
    conditions = tuple(rows_of(field, rows, generator) for field in io.conditions)
    steps = next((field.shape[0] for field in io.inputs if field.kind in ("sequence", "tokens")), None)
    lengths = None if steps is None else torch.arange(rows) % steps + 1
    mask = None if lengths is None or steps is None else torch.arange(steps) < lengths[:, None]
    return inputs, {"conditions": conditions, "lengths": lengths, "mask": mask if io.per_position else None}


def sample_outputs(
    task: Task, rows: int, generator: torch.Generator, *, steps: int | None = None
) -> tuple[Tensor, Tensor]:
    """Draw a network's outputs and a target for them.

    Args:
        task: The task.
        rows: Rows B, ≥ 1.
        generator: Where the numbers come from.
        steps: Positions T; None for one answer a row.

    Returns:
        Outputs (B, O) or (B, T, O), float32, and a target as in `Task`; regression targets are positive.
    """
    shape = (rows,) if steps is None else (rows, steps)
    output = torch.randn(*shape, OUTPUTS[task], generator=generator)
    if task is Task.MULTICLASS:
        return output, torch.randint(OUTPUTS[task], shape, generator=generator)
    if task is Task.REGRESSION:
        return output.abs() + 0.1, torch.rand(*shape, OUTPUTS[task], generator=generator) + 0.5
    return output, torch.randint(2, (*shape, OUTPUTS[task]), generator=generator).float()


def ideal_outputs(task: Task, target: Tensor, confidence: float = 8.0) -> Tensor:
    """Return the outputs of a network that is right and sure: logits of ± `confidence`, or the targets themselves."""
    if task is Task.REGRESSION:
        return target.clone()
    if task is Task.MULTICLASS:
        target = torch.nn.functional.one_hot(target, OUTPUTS[task])
    return (2.0 * target - 1.0) * confidence
