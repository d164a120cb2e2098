"""What `dlcli build` tells."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dlcli.contracts.field import Field
from dlcli.training.step_costs import MemoryEstimate


@dataclass(frozen=True)
class LayerRow:
    """One layer of the network.

    Args:
        name: Its name in the network; `network` for what the network itself computes.
        kind: Its class.
        output_shape: Shape of its output for one row, without the batch dimension.
        parameters: Number of its own parameters.
        multiply_adds: Those of its forward pass for one row: of products of matrices, convolutions and attention, as is
            usual; what is done element by element counts nothing.
        activation_bytes: What it keeps for the backward pass of a batch, beside what layers before it keep.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int = 0
    activation_bytes: int = 0


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
        beside: Fields of other roles that training looks at: conditions, lengths, masks, weights.
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
        regularized: What each regularizer does, by its id; the architecture's own by its name and theirs.
        device: Where the batch was computed.
        forward_flops: Floating-point operations of the forward pass for one row: twice its multiply-adds.
        training_flops: Those of a training step for one row, forward and backward.
        memory: What training with such batches takes of the device's memory: an estimate from steps on a few rows.
        available_bytes: What the device had left; None where it does not tell.
        fits: Whether that is enough; None where it is not known.
        largest_batch: The largest power of two of rows with which training would fit; None where it is not known.
        notes: What the user should know.
        switches: The switches of training that are not as they are by default, by key.
        init: What filled the weights, with its parameters; None where they are the architecture's own.
    """

    name: str
    task: str
    inputs: tuple[Field, ...]
    beside: tuple[Field, ...]
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
    forward_flops: int
    training_flops: int
    memory: MemoryEstimate
    available_bytes: int | None
    fits: bool | None
    largest_batch: int | None
    notes: tuple[str, ...]
    switches: Mapping[str, Any] = field(default_factory=dict)
    init: Mapping[str, Any] | None = None

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the forward pass for one row."""
        return self.forward_flops // 2

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {**asdict(self), "multiply_adds": self.multiply_adds}
