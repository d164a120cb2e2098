"""The use case behind `dlcli build`: everything that can be found out before training."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlcli.contracts.component import implements
from dlcli.contracts.dataset import Dataset
from dlcli.contracts.field import Field
from dlcli.contracts.member import Member
from dlcli.contracts.regularizer import METHODS
from dlcli.data.streamed_batches import make_batches
from dlcli.errors import TrainingError
from dlcli.experiment.prepare import placed, prepare
from dlcli.experiment.switches import training_device
from dlcli.experiment.train import check_extras
from dlcli.experiment.warm_start import frozen_parameters
from dlcli.plugins import Plugins, load_plugins
from dlcli.recipe.load import load_recipe
from dlcli.recipe.overrides import Override
from dlcli.training.accumulation import step_batches
from dlcli.training.determinism import determinism
from dlcli.training.initial_values import suited_initializer
from dlcli.training.network import active_dropouts, build_network, seed_epoch
from dlcli.training.regularization import Regularization
from dlcli.training.step import Step
from dlcli.training.switched_step import make_step
from dlcli.training.switches import switch_notes


@dataclass(frozen=True)
class LayerRow:
    """One layer of the network.

    Args:
        name: Its name in the network.
        kind: Its class.
        output_shape: Shape of its output for one row, without the batch dimension.
        parameters: Number of its own parameters.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True)
class Regularized:
    """What a regularizer does, and where.

    Args:
        methods: The methods of its kind that it has, such as `penalty`.
        parameters: Names of the parameters that it acts on.
        numbers: How many numbers they hold.
        modules: Names of the modules whose outputs it sees.
    """

    methods: tuple[str, ...]
    parameters: tuple[str, ...]
    numbers: int
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Preflight:
    """What `build` found out.

    Args:
        name: The recipe's name.
        task: The task.
        inputs: Input fields as stored.
        target: The target field.
        splits: Rows of each split.
        outputs: Width of the output.
        classes: Names of the classes or labels.
        layers: The network, layer by layer, in the order in which a batch passes through.
        parameters: Number of parameters.
        trainable: How many of them are trained.
        loss: Name of the loss.
        loss_value: Loss of the first batch before training, without penalties.
        batch_size: Rows in a batch.
        steps_per_epoch: Optimizer steps in an epoch.
        regularized: What each regularizer does, by its id.
        device: Where the batch was computed.
        init: What filled the weights, with its parameters; None where they are the architecture's own.
        switches: The switches of training that are not as they are by default, by key.
        notes: What the user should know.
    """

    name: str
    task: str
    inputs: tuple[Field, ...]
    target: Field
    splits: Mapping[str, int]
    outputs: int
    classes: tuple[str, ...]
    layers: tuple[LayerRow, ...]
    parameters: int
    trainable: int
    loss: str
    loss_value: float
    batch_size: int
    steps_per_epoch: int
    regularized: Mapping[str, Regularized]
    device: str
    notes: tuple[str, ...]
    init: Mapping[str, Any] | None = None
    switches: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


def build(
    recipe: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    device: str | None = None,
    plugins: Plugins | None = None,
) -> Preflight:
    """Check a recipe and its data, build the network, and take one batch forward and backward; leaves nothing behind.

    Args:
        recipe: A recipe file, or a recipe as a mapping.
        overrides: `key=value` texts, as after `--set`.
        device: Wins over `train.device`.
        plugins: Loaded plugins; loaded here where None.

    Returns:
        What was found out.

    Raises:
        RecipeError: The recipe is wrong; all problems at once.
        DataError: The dataset cannot be used.
        TrainingError: The first batch gives no finite loss.
    """
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
    batches = make_batches(dataset, where, learnt, prepared.recipe.seed)
    forked = torch.random.fork_rng(devices=[where] if where.type == "cuda" else [])
    with forked, determinism(member.switches.deterministic, where):
        network = build_network(member, where)
        seed_epoch(active_dropouts(network), member, 1, where)
        parameters = dict(network.named_parameters())
        optimizer = member.optimizer.build(
            [parameter for parameter in parameters.values() if parameter.requires_grad],
            lr=float(member.optimizer.lr),
            weight_decay=float(member.optimizer.weight_decay),
        )
        step = Step(member, network, optimizer, where)
        step.start_epoch(1)
        batch = next(batches.training(member, 1))
        with _Shapes(network) as shapes:
            loss = float(step(batch))
        if member.switches.loop_only is not None:  # what switches change of a step must work, too
            groups = step_batches(batches.training(member, 1), member.switches.accumulate)
            make_step(member, network, optimizer, where)(next(groups))
    if not torch.tensor(loss).isfinite():
        raise TrainingError(
            f"the loss of the first batch is {loss}: look at the data with dlcli data check {checked.data.path}, "
            'and set preprocess = ["standardize"] under [data]'
        )
    silent = [name for name, parameter in parameters.items() if parameter.requires_grad and parameter.grad is None]
    counted = sum(parameter.numel() for parameter in parameters.values())
    return Preflight(
        name=checked.name,
        task=str(dataset.task),
        inputs=dataset.by_role("input"),
        target=dataset.target,
        splits={name: len(rows) for name, rows in dataset.splits.items()},
        outputs=member.io.outputs,
        classes=member.io.classes,
        layers=tuple(shapes.rows),
        parameters=counted,
        trainable=sum(p.numel() for p in parameters.values() if p.requires_grad),
        loss=member.loss.name,
        loss_value=loss,
        batch_size=member.batch_size,
        steps_per_epoch=member.switches.steps(batches.steps(member)),
        regularized=dict(zip([r.id for r in checked.regularizers], _regularized(member, network), strict=True)),
        device=str(where),
        notes=(
            *prepared.plan.notes,
            *switch_notes(member.switches, where),
            *_streamed(dataset),
            *_missing(dataset),
            *(f"{name} got no gradient: the loss does not depend on it" for name in silent),
        ),
        init=_init(member),
        switches=member.switches.changed,
    )


def _init(member: Member) -> dict[str, Any] | None:
    """Return the initializer that suits a member's activation, as a table."""
    if member.initializer is None:
        return None
    return suited_initializer(member.initializer, member.architecture).table(lambda component: component.name)


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


def _regularized(member: Member, network: nn.Module) -> Iterator[Regularized]:
    regularization = Regularization(member.regularizers, network, ())
    found = zip(member.regularizers, regularization.touched, regularization.watched, strict=True)
    for regularizer, names, modules in found:
        numbers = sum(network.get_parameter(name).numel() for name in names)
        methods = tuple(method for method in METHODS if implements(regularizer, method))
        yield Regularized(methods, names, numbers, modules)


class _Shapes:
    """Notes the output shape of every layer during one forward pass."""

    def __init__(self, network: nn.Module) -> None:
        self.rows: list[LayerRow] = []
        leaves = [(name, module) for name, module in network.named_modules() if not list(module.children())]
        self._handles = [module.register_forward_hook(self._hook(name)) for name, module in leaves]

    def __enter__(self) -> "_Shapes":
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, name: str) -> Callable[[nn.Module, object, object], None]:
        def note(module: nn.Module, arguments: object, output: object) -> None:
            first = output[0] if isinstance(output, tuple) else output
            shape = tuple(first.shape[1:]) if isinstance(first, Tensor) else ()
            count = sum(parameter.numel() for parameter in module.parameters())
            self.rows.append(LayerRow(name or "network", type(module).__name__, shape, count))

        return note
