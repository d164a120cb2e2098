"""What the regularizers of a network do to a step, as functions of its parameters: the same for both engines."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from dlcli.contracts.batch import Batch
from dlcli.contracts.component import implements
from dlcli.contracts.loss import Loss
from dlcli.contracts.randomness import stream
from dlcli.contracts.regularizer import MixedBatch, Regularizer
from dlcli.contracts.selector import select_parameters
from dlcli.errors import UsageError
from dlcli.training.accumulation import Share
from dlcli.training.objective import batch_loss, mean_of_rows, row_weights

Call = Callable[[tuple[Tensor, ...], Mapping[str, Tensor]], Tensor]
"""From inputs and changed parameters by name to the network's outputs."""
Noises = Mapping[int, Mapping[str, Tensor]]
"""One step's noise by the number of the regularizer that drew it."""


PARAMETER_METHODS = ("parameters", "penalty", "gradients", "project")
"""Those that work on what `select` matches."""


class Regularization:
    """The regularizers of one structure of network: which parameters each touches, and what it overrides.

    Args:
        regularizers: In the order of the recipe; of those of other members only the per-member numbers differ.
        network: Knows the parameters' names.
        input_names: Names of the input fields, in order.

    Attributes:
        touched: Names of the trained parameters that each works on; none where it works on none.
        watched: Names of the modules whose outputs each sees.

    Raises:
        UsageError: A regularizer works on parameters and its selector matches none, or on outputs of modules that the
            network does not have.
    """

    def __init__(self, regularizers: Sequence[Regularizer], network: nn.Module, input_names: tuple[str, ...]) -> None:
        self._network = network
        self._input_names = input_names
        trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
        self.touched = [
            tuple(name for name in _selected(regularizer, network) if name in trained) for regularizer in regularizers
        ]
        self.watched = [_watched(regularizer, network) for regularizer in regularizers]

        def having(method: str) -> tuple[int, ...]:
            return tuple(i for i, regularizer in enumerate(regularizers) if implements(regularizer, method))

        self.drawing = having("draw")
        self._batch = tuple(sorted({*having("batch"), *having("mix")}))
        self._parameters = having("parameters")
        self._penalty, self._activity = having("penalty"), having("activity")
        self.changes_gradients, self.projects = having("gradients"), having("project")
        changing = (self.drawing, self._batch, self._parameters, self._penalty, self._activity)
        self.changes_forward = any(changing)

    def streams(self, seed: int, epoch: int, device: torch.device) -> dict[int, torch.Generator]:
        """Return a member's random streams of an epoch, by the number of the regularizer that draws."""
        return {i: stream(seed, f"regularizer-{i}", epoch, device) for i in self.drawing}

    def draw(
        self,
        regularizers: Sequence[Regularizer],
        streams: Mapping[int, torch.Generator],
        inputs: tuple[Tensor, ...],
        parameters: Mapping[str, Tensor],
    ) -> dict[int, dict[str, Tensor]]:
        """Draw one member's noise of one step.

        Args:
            regularizers: The member's own.
            streams: The member's.
            inputs: Shaped as one member's batch.
            parameters: Shaped as one member's parameters.

        Returns:
            Tensors by name, by the number of the regularizer.
        """
        found = {}
        for i, generator in streams.items():
            shapes: dict[str, tuple[int, ...]] = {}
            if i in self._batch:
                shapes |= {name: tuple(x.shape) for name, x in zip(self._input_names, inputs, strict=True)}
            if i in self._parameters:
                shapes |= {name: tuple(parameters[name].shape) for name in self.touched[i]}
            found[i] = regularizers[i].draw(shapes, generator)
        return found

    def objective(
        self,
        regularizers: Sequence[Regularizer],
        loss: Loss,
        parameters: Mapping[str, Tensor],
        call: Call,
        batch: Batch,
        noises: Noises,
        network: nn.Module | None = None,
        *,
        mixed: MixedBatch | None = None,
        share: Share | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, and the loss with penalties: what is made small.

        Args:
            regularizers: The member's own.
            loss: Likewise.
            parameters: All of the network's, by name.
            call: The network's outputs, the batch's offset added.
            batch: The batch.
            noises: What `draw` returned.
            network: The one that `call` runs, where that is another of the same structure.
            mixed: What `changed_batch` returned, where it was called before.
            share: What part of a step the batch is; None where it is all of it. The parts of a step add up to it: a
                penalty is in the last, or, where it sees outputs, is the mean of those of all parts.

        Returns:
            Two 0-d tensors.

        Raises:
            UsageError: A batch is changed after it was mixed.
        """
        mixed = mixed or self.changed_batch(regularizers, batch, noises)
        changed: dict[str, Tensor] = {}
        for i in self._parameters:
            own = {name: changed.get(name, parameters[name]) for name in self.touched[i]}
            changed |= regularizers[i].parameters(own, noises.get(i, {}))
        with ExitStack() as stack:
            seen = {
                i: stack.enter_context(_Recorder(network or self._network, self.watched[i]))
                for i in {*self._penalty, *self._activity}
            }
            output = call(mixed.inputs, changed)
        whole, rows = (None, None) if share is None else (share.weight, share.rows)
        value = objective = batch_loss(loss, output, mixed.targets, mixed.weight, batch, whole)
        for i in self._penalty:
            if share is not None and not share.last and not self.watched[i]:
                continue
            own = {name: parameters[name] for name in self.touched[i]}
            penalty = regularizers[i].penalty(own, seen[i].outputs)
            objective = objective + (penalty / share.batches if share is not None and self.watched[i] else penalty)
        for i in self._activity:
            values = regularizers[i].activity(seen[i].outputs)
            objective = objective + mean_of_rows(values, row_weights(batch), rows)
        return value, objective

    def changed_batch(self, regularizers: Sequence[Regularizer], batch: Batch, noises: Noises) -> MixedBatch:
        """Return a batch after every regularizer that changes it.

        Args:
            regularizers: The member's own.
            batch: The batch.
            noises: What `draw` returned.

        Returns:
            Its inputs, its target or two, and the share of the first.

        Raises:
            UsageError: A batch is changed after it was mixed.
        """
        mixed, weight = MixedBatch(batch.inputs, (batch.target,)), row_weights(batch)
        for before, i in zip((None, *self._batch), self._batch, strict=False):
            if before is not None and mixed.weight is not None:
                raise UsageError(
                    f"{regularizers[i].name} comes after {regularizers[before].name}, which mixes rows: a batch is "
                    "mixed once and last; keep one of them, or let the one that mixes be the last of [[regularizers]]"
                )
            mixed = regularizers[i].mix(mixed.inputs, mixed.targets[0], weight, noises.get(i, {}))
        return mixed

    def gradients(
        self, regularizers: Sequence[Regularizer], gradients: dict[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return gradients after every regularizer that changes them; parameters without one are left out."""
        for i in self.changes_gradients:
            names = [name for name in self.touched[i] if name in gradients]
            own = {name: gradients[name] for name in names}
            gradients = {**gradients, **regularizers[i].gradients(own, {name: parameters[name] for name in names})}
        return gradients

    def project(self, regularizers: Sequence[Regularizer], parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the parameters that regularizers move after a step; those that none touches are left out."""
        found: dict[str, Tensor] = {}
        for i in self.projects:
            own = {name: found.get(name, parameters[name]) for name in self.touched[i]}
            found |= regularizers[i].project(own)
        return found


def _selected(regularizer: Regularizer, network: nn.Module) -> tuple[str, ...]:
    if not any(implements(regularizer, method) for method in PARAMETER_METHODS):
        return ()
    names = select_parameters(network, regularizer.select)
    if not names:
        raise UsageError(
            f"the selector {regularizer.select!r} of the regularizer {regularizer.name} matches no parameter; "
            f"write weights, all, or globs over {', '.join(name for name, _ in network.named_parameters())}"
        )
    return names


def _watched(regularizer: Regularizer, network: nn.Module) -> tuple[str, ...]:
    pattern = regularizer.activations
    if pattern is None:
        return ()
    names = tuple(name for name, _ in network.named_modules() if fnmatchcase(name, pattern))
    if not names and implements(regularizer, "activity"):
        raise UsageError(
            f"{regularizer.name} works on outputs of modules named {pattern}, but the network has none "
            f"(its modules are {', '.join(name for name, _ in network.named_children())}); remove it from "
            "[[regularizers]], or choose an architecture with activations, such as mlp, cnn or transformer"
        )
    return names


class _Recorder:
    """Keeps the outputs of the modules that a penalty asks for, during one forward pass."""

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        self.outputs: dict[str, Tensor] = {}
        self._modules = [(name, network.get_submodule(name)) for name in names]
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> "_Recorder":
        self._handles = [module.register_forward_hook(self._hook(name)) for name, module in self._modules]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def keep(module: nn.Module, arguments: object, output: Tensor) -> None:
            # Penalties are float32, whatever layers compute in.
            self.outputs[name] = output.float() if output.dtype in (torch.bfloat16, torch.float16) else output

        return keep
