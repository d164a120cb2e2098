"""What `dlcli build` found: data, task, layers, the loss of the first batch."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table

from dlcli.report.figures import byte_size, count_of, number, scaled, shape
from dlcli.report.layer_table import LayerTable
from dlcli.report.layout import folded, line, plain_table, shortened
from dlcli.untrusted import printable

if TYPE_CHECKING:
    from dlcli.contracts.field import Field
    from dlcli.experiment.building.preflight import Preflight, Regularized

SHOWN_CLASSES = 12
"""How many class names are shown before the rest is only counted."""
SHOWN_NAMES = 3
"""Of the parameters and modules of a regularizer, likewise."""
DOES = {
    "batch": "changes training rows",
    "mix": "mixes training rows",
    "parameters": "changes the forward pass",
    "activity": "penalizes outputs",
    "penalty": "penalizes parameters",
    "gradients": "changes gradients",
    "project": "moves after a step",
    "stop": "may end training",
}
"""What each method of a regularizer does."""


def preflight_view(preflight: "Preflight") -> RenderableType:
    """Return the picture of a recipe that is ready to be trained."""
    splits = ", ".join(f"{name} {rows:,}" for name, rows in preflight.splits.items())
    parts: list[RenderableType] = [
        line("recipe", preflight.name),
        line("task", preflight.task, classes_text(preflight.classes)),
        *(line("input", field_text(field)) for field in preflight.inputs),
        *(line("beside", f"{field.role} ", field_text(field)) for field in preflight.beside),
        line("target", field_text(preflight.target)),
        line("rows", splits),
        line("batches", f"{count_of(preflight.steps_per_epoch, 'step')} of {_step_rows(preflight)} rows an epoch"),
        "",
        LayerTable(preflight),
        "",
        line("device", preflight.device),
        *([line("init", init_text(preflight.init))] if preflight.init else []),
        line("trained", f"{preflight.trainable:,} of {count_of(preflight.parameters, 'parameter')}"),
        line("flops", flops_text(preflight)),
        folded("memory", memory_text(preflight)),
        *([folded("room", room_text(preflight))] if preflight.available_bytes is not None else []),
        line(
            "loss",
            f"{preflight.loss} {number(preflight.loss_value)} on the first batch, before training",
        ),
    ]
    if preflight.switches:
        parts.append(folded("switches", ", ".join(_switch(*item) for item in preflight.switches.items())))
    if preflight.regularized:
        parts += ["", regularized_table(preflight.regularized)]
    parts += [folded("note", note, label_style="yellow") for note in preflight.notes]
    return Group(*parts)


def _step_rows(preflight: "Preflight") -> str:
    batches = preflight.switches.get("accumulate", 1)
    return f"{batches} × {preflight.batch_size}" if batches > 1 else str(preflight.batch_size)


def _switch(name: str, value: Any) -> str:
    """Return a switch as `precision bfloat16`, or by its name alone where it is on."""
    told = name.replace("_", " ")
    return told if value is True else f"{told} {value}"


def init_text(table: Mapping[str, Any]) -> str:
    """Return an initializer in one line, such as `kaiming_normal, gain 1.414, mode fan_in`."""
    parameters = [
        f"{key} {number(value) if isinstance(value, float) else value}" for key, value in table.items() if key != "name"
    ]
    return ", ".join([table["name"], *parameters])


def classes_text(classes: Sequence[str]) -> str:
    """Return how many classes there are, and the names of the first of them."""
    if not classes:
        return ""
    shown = ", ".join(printable(shortened(name)) for name in classes[:SHOWN_CLASSES])
    more = ", …" if len(classes) > SHOWN_CLASSES else ""
    return f", {len(classes)} classes: {shown}{more}"


def field_text(field: "Field") -> str:
    """Return a field in one line, such as `x, image 1 × 8 × 8, uint8`."""
    size = f" {shape(field.shape)}" if field.shape else ""
    return f"{field.name}, {field.kind}{size}, {field.dtype}"


def flops_text(preflight: "Preflight") -> str:
    """Return what a row and a step take to compute, in floating-point operations."""
    step = preflight.training_flops * preflight.batch_size
    return (
        f"{scaled(preflight.forward_flops)} forward, {scaled(preflight.training_flops)} in training a row; "
        f"{scaled(step)} a step"
    )


def memory_text(preflight: "Preflight") -> str:
    """Return what training takes, and what for."""
    memory = preflight.memory
    parts = {
        "parameters": memory.parameters,
        "gradients": memory.gradients,
        "optimizer": memory.optimizer_state,
        "copies": memory.copies,
        "data": memory.data,
        "activations": memory.activations,
        "working": memory.working,
    }
    told = ", ".join(f"{name} {byte_size(size)}" for name, size in parts.items() if size)
    return f"about {byte_size(memory.total)} with {count_of(memory.rows, 'row')} in a batch: {told}"


def room_text(preflight: "Preflight") -> str:
    """Return whether that fits, and the largest batch that would."""
    verdict = "it fits" if preflight.fits else "it does not fit"
    rows = preflight.largest_batch
    largest = f"the largest power of two that would is {count_of(rows, 'row')}" if rows else "not even one row would"
    return f"{byte_size(preflight.available_bytes or 0)} left on {preflight.device}: {verdict}; {largest}"


def regularized_table(regularized: Mapping[str, "Regularized"]) -> Table:
    """Return one row a regularizer: what it does, to how many parameters, and to which of them or of the modules."""
    table = plain_table()
    table.add_column("regularizer", overflow="fold")
    table.add_column("does", overflow="fold")
    table.add_column("parameters", justify="right")
    table.add_column("where", overflow="fold")
    for name, regularizer in regularized.items():
        does = ", ".join(DOES[method] for method in regularizer.methods)
        numbers = f"{regularizer.numbers:,}" if regularizer.parameters else ""
        table.add_row(name, does, numbers, names_text((*regularizer.parameters, *regularizer.modules)))
    return table


def names_text(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f", … {more} more" if more > 0 else "")
