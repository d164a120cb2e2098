"""The use case behind `dlcli build`: everything that can be found out before training."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dlcli.contracts.batch import Batch, Batches
from dlcli.contracts.component import implements
from dlcli.contracts.dataset import Dataset
from dlcli.contracts.member import Member
from dlcli.contracts.regularizer import METHODS
from dlcli.contracts.switches import Switches
from dlcli.data.streamed_batches import make_batches
from dlcli.errors import TrainingError
from dlcli.experiment.building.advice import advice
from dlcli.experiment.building.dead_units import DeadUnits
from dlcli.experiment.building.device_memory import available_bytes
from dlcli.experiment.building.preflight import LayerRow, Preflight, Regularized
from dlcli.experiment.diagram.file import write_diagram
from dlcli.experiment.output_file import check_picture_output
from dlcli.experiment.prepare import placed, prepare
from dlcli.experiment.switches import training_device
from dlcli.experiment.train import check_extras
from dlcli.experiment.warm_start import frozen_parameters
from dlcli.layers.window_watch import WindowWatch, not_whole
from dlcli.plugins import Plugins, load_plugins
from dlcli.recipe.load import load_recipe
from dlcli.recipe.overrides import Override
from dlcli.report.figures import byte_size
from dlcli.training.accumulation import step_batches
from dlcli.training.determinism import determinism
from dlcli.training.initial_values import suited_initializer
from dlcli.training.network import active_dropouts, build_network, build_optimizer, seed_epoch
from dlcli.training.out_of_memory import out_of_memory_told
from dlcli.training.regularization import Regularization
from dlcli.training.step import Step
from dlcli.training.step_costs import FEW, StepCosts, first_rows, step_costs
from dlcli.training.switched_step import make_step
from dlcli.training.switches import switch_notes

BESIDE = ("condition", "length", "mask", "weight")
"""Roles of fields that training looks at, besides inputs and target."""


def build(
    recipe: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    device: str | None = None,
    diagram: Path | None = None,
    plugins: Plugins | None = None,
) -> Preflight:
    """Check a recipe and its data, build the network, and take one batch forward and backward.

    Nothing is left behind but the diagram that is asked for.

    Args:
        recipe: A recipe file, or a recipe as a mapping.
        overrides: `key=value` texts, as after `--set`.
        device: Wins over `train.device`.
        diagram: File for a picture of the network, SVG; None for none.
        plugins: Loaded plugins; loaded here where None.

    Returns:
        What was found out.

    Raises:
        UsageError: No diagram can be left at `diagram`.
        StorageError: It could not be written.
        RecipeError: The recipe is wrong; all problems at once.
        DataError: The dataset cannot be used.
        TrainingError: The first batch gives no finite loss, or memory ran out.
    """
    if diagram is not None:
        check_picture_output(diagram, "--diagram")
    plugins = plugins or load_plugins()
    extra = [Override("train.device", ("train", "device"), device)] if device else []
    source = recipe if isinstance(recipe, Mapping) else Path(recipe)
    checked = load_recipe(source, plugins.registry, [*overrides, *extra])
    check_extras(checked)
    where = training_device(checked)
    with placed(source):
        prepared = prepare(checked, plugins.registry)
    if checked.train.freeze is not None:
        frozen = frozen_parameters(prepared.member, checked.train.freeze)
        prepared = prepared.with_members(frozen=frozen)
    member, dataset = prepared.member, prepared.dataset
    learnt = [each.training_rows for each in prepared.plan.members]
    with out_of_memory_told(lambda: "on the first batch", where, member.batch_size):
        batches = make_batches(dataset, where, learnt, prepared.recipe.seed)
        batch = next(batches.training(member, 1))
        forked = torch.random.fork_rng(devices=[where] if where.type == "cuda" else [])
        with forked, determinism(member.switches.deterministic, where):
            available = available_bytes(where)
            costs = step_costs(member, batch, where)
            room = _Room(costs, member.batch_size, available, str(where))
            first = _first_step(member, room.rows_of(batch), where)
            if room.fits is not False and member.switches.loop_only is not None:
                _switched_step(member, first.network, batches, where)
    if not torch.tensor(first.loss).isfinite():
        raise TrainingError(
            f"the loss of the first batch is {first.loss}: look at the data with dlcli data check {checked.data.path}, "
            'and set preprocess = ["standardize"] under [data]'
        )
    if diagram is not None:
        write_diagram(diagram, checked.name, member, first.network, room.rows_of(batch))
    parameters = dict(first.network.named_parameters())
    silent = [name for name, parameter in parameters.items() if parameter.requires_grad and parameter.grad is None]
    ids = [regularizer.id for regularizer in checked.regularizers]
    return Preflight(
        name=checked.name,
        task=str(dataset.task),
        inputs=dataset.by_role("input"),
        beside=tuple(field for role in BESIDE for field in dataset.by_role(role)),
        target=dataset.target,
        splits={name: len(rows) for name, rows in dataset.splits.items()},
        outputs=member.io.outputs,
        classes=member.io.classes,
        layers=_layers(costs, member.batch_size),
        parameters=sum(parameter.numel() for parameter in parameters.values()),
        trainable=sum(p.numel() for p in parameters.values() if p.requires_grad),
        loss=member.loss.name,
        loss_value=first.loss,
        batch_size=member.batch_size,
        steps_per_epoch=member.switches.steps(batches.steps(member)),
        regularized=dict(_regularized(member, first.network, ids)),
        device=str(where),
        forward_flops=round(costs.forward_flops),
        training_flops=round(costs.training_flops),
        memory=room.memory,
        available_bytes=available,
        fits=room.fits,
        largest_batch=room.largest,
        notes=(
            *prepared.plan.notes,
            *switch_notes(member.switches, where),
            *_streamed(dataset),
            *_missing(dataset),
            *(f"{name} got no gradient: the loss does not depend on it" for name in silent),
            *room.notes(),
            *_estimated_without(member.switches),
            *first.notes,
        ),
        init=_init(member),
        switches=member.switches.changed,
    )


@dataclass(frozen=True)
class _First:
    """What the first step showed."""

    network: nn.Module
    loss: float
    notes: tuple[str, ...]


def _first_step(member: Member, batch: Batch, device: torch.device) -> _First:
    """Take the first step of a member, and see what is to be said of its network."""
    network = build_network(member, device)
    seed_epoch(active_dropouts(network), member, 1, device)
    step = Step(member, network, build_optimizer(member, network), device)
    step.start_epoch(1)
    with WindowWatch(network, member.architecture.name) as watch, DeadUnits(network) as dead:
        loss = float(step(batch))
    floored = not_whole(watch.slides)
    said = (*([floored] if floored else []), *advice(network, member, watch.slides), *dead.notes())
    return _First(network, loss, said)


def _switched_step(member: Member, network: nn.Module, batches: Batches, device: torch.device) -> None:
    """Take a step as switches change it, so that what they cannot do is told."""
    step = make_step(member, network, build_optimizer(member, network), device)
    step.start_epoch(1)
    step(next(step_batches(batches.training(member, 1), member.switches.accumulate)))


class _Room:
    """Whether training fits into the memory that is left."""

    def __init__(self, costs: StepCosts, rows: int, available: int | None, device: str) -> None:
        self.memory = costs.memory(rows)
        self.fits = None if available is None else self.memory.total <= available
        self.largest = None if available is None else costs.largest_batch(available)
        self._available, self._device = available, device

    @property
    def _tried(self) -> int:
        """Rows that the first step is taken on: few of a batch that does not fit, since this is an estimate."""
        return self.memory.rows if self.fits is not False else max(FEW, (self.largest or 0) // 2)

    def rows_of(self, batch: Batch) -> Batch:
        """Return as much of a batch as fits."""
        return batch if self._tried >= len(batch.target) else first_rows(batch, self._tried)

    def notes(self) -> Iterator[str]:
        """Say so where it does not fit."""
        if self.fits is False:
            mend = f"set train.batch_size = {self.largest}" if self.largest else "choose a smaller network"
            yield (
                f"training takes about {byte_size(self.memory.total)}, but {byte_size(self._available or 0)} of memory "
                f"are left on {self._device}: {mend}; the loss is that of the batch's first {self._tried:,} rows"
            )


def _layers(costs: StepCosts, rows: int) -> tuple[LayerRow, ...]:
    one, batch = costs.of_one_row(), costs.layers(rows)
    return tuple(
        LayerRow(layer.name, layer.kind, layer.output_shape, layer.parameters, flops // 2, layer.kept_bytes)
        for layer, flops in zip(batch, one, strict=True)
    )


def _init(member: Member) -> dict[str, Any] | None:
    """Return the initializer that suits a member's activation, as a table."""
    if member.initializer is None:
        return None
    return suited_initializer(member.initializer, member.architecture).table(lambda component: component.name)


def _estimated_without(switches: Switches) -> Iterator[str]:
    """Say which switches the estimate of memory leaves out."""
    left = [name for name in ("activation_checkpointing", "precision", "accumulate") if name in switches.changed]
    if left:
        keys = " and ".join(f"train.{name}" for name in left)
        yield f"multiply-adds and memory are those of a step on one batch without {keys}"


def _streamed(dataset: Dataset) -> Iterator[str]:
    """Say which fields stay on disk."""
    for name, rows in dataset.stored.items():
        yield f"{name} is streamed: its {rows.nbytes / 2**30:.1f} GiB stay on disk (data.memory says how much may not)"


def _missing(dataset: Dataset) -> Iterator[str]:
    """Yield which inputs lack values, as far as they are in memory; that all are filled in was seen on reading."""
    for field in (*dataset.by_role("input"), *dataset.by_role("condition")):
        rows = dataset.tensors.get(field.name)
        if rows is not None and rows.is_floating_point() and (count := int(rows.isnan().sum())):
            yield f"{field.name} lacks {count:,} of {rows.numel():,} values, which preprocessing fills in"


def _regularized(member: Member, network: nn.Module, ids: Sequence[str]) -> Iterator[tuple[str, Regularized]]:
    """Yield what each regularizer does, the recipe's by their ids, then the architecture's own."""
    regularization = Regularization(member.regularizers, network, ())
    own = [f"{member.architecture.name}: {each.name}" for each in member.regularizers[len(ids) :]]
    found = zip([*ids, *own], member.regularizers, regularization.touched, regularization.watched, strict=True)
    for name, regularizer, names, modules in found:
        numbers = sum(network.get_parameter(parameter).numel() for parameter in names)
        methods = tuple(method for method in METHODS if implements(regularizer, method))
        yield name, Regularized(methods, names, numbers, modules)
