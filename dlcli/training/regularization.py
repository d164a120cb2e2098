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
from dlcli.contracts.regularizer import Regularizer
from dlcli.contracts.selector import select_parameters
from dlcli.errors import UsageError
from dlcli.training.objective import batch_loss

Call = Callable[[tuple[Tensor, ...], Mapping[str, Tensor]], Tensor]
"""From inputs and changed parameters by name to the network's outputs."""
Noises = Mapping[int, Mapping[str, Tensor]]
"""One step's noise by the number of the regularizer that drew it."""


class Regularization:
    """The regularizers of one structure of network: which parameters each touches, and what it overrides.

    Args:
        regularizers: In the order of the recipe; of those of other members only the per-member numbers differ.
        network: Knows the parameters' names.
        input_names: Names of the input fields, in order.

    Raises:
        UsageError: A selector matches no parameter although its regularizer works on parameters.
    """

    def __init__(self, regularizers: Sequence[Regularizer], network: nn.Module, input_names: tuple[str, ...]) -> None:
        self._network = network
        self._input_names = input_names
        trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
        self._touched: list[tuple[str, ...]] = []
        for regularizer in regularizers:
            names = select_parameters(network, regularizer.select)
            works = any(implements(regularizer, method) for method in ("parameters", "penalty", "gradients", "project"))
            if works and not names:
                raise UsageError(
                    f"the selector {regularizer.select!r} of the regularizer {regularizer.name} matches no parameter; "
                    f"write weights, all, or globs over {', '.join(name for name, _ in network.named_parameters())}"
                )
            self._touched.append(tuple(name for name in names if name in trained))

        def having(method: str) -> tuple[int, ...]:
            return tuple(i for i, regularizer in enumerate(regularizers) if implements(regularizer, method))

        self.drawing = having("draw")
        self._batch, self._parameters, self._penalty = having("batch"), having("parameters"), having("penalty")
        self.changes_gradients, self.projects = having("gradients"), having("project")
        self.changes_forward = bool(self.drawing or self._batch or self._parameters or self._penalty)

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
                shapes |= {name: tuple(parameters[name].shape) for name in self._touched[i]}
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
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, and the loss with penalties: what is made small.

        Args:
            regularizers: The member's own.
            loss: Likewise.
            parameters: All of the network's, by name.
            call: The network's outputs, the batch's offset added.
            batch: The batch.
            noises: What `draw` returned.

        Returns:
            Two 0-d tensors.

        Raises:
            UsageError: Two regularizers mix batches.
        """
        inputs, mix = batch.inputs, None
        targets: tuple[Tensor, ...] = (batch.target,)
        for i in self._batch:
            if mix is not None:
                raise UsageError("two regularizers that mix batches cannot be combined: keep one of them")
            inputs, targets, mix = regularizers[i].batch(inputs, targets[0], noises.get(i, {}))
        changed: dict[str, Tensor] = {}
        for i in self._parameters:
            own = {name: changed.get(name, parameters[name]) for name in self._touched[i]}
            changed |= regularizers[i].parameters(own, noises.get(i, {}))
        with ExitStack() as stack:
            recorders = [stack.enter_context(_Recorder(self._network, regularizers[i])) for i in self._penalty]
            output = call(inputs, changed)
        value = batch_loss(loss, output, targets, mix, batch)
        objective = value
        for i, recorder in zip(self._penalty, recorders, strict=True):
            own = {name: parameters[name] for name in self._touched[i]}
            objective = objective + regularizers[i].penalty(own, recorder.outputs)
        return value, objective

    def gradients(
        self, regularizers: Sequence[Regularizer], gradients: dict[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return gradients after every regularizer that changes them; parameters without one are left out."""
        for i in self.changes_gradients:
            names = [name for name in self._touched[i] if name in gradients]
            own = {name: gradients[name] for name in names}
            gradients = {**gradients, **regularizers[i].gradients(own, {name: parameters[name] for name in names})}
        return gradients

    def project(self, regularizers: Sequence[Regularizer], parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the parameters that regularizers move after a step; those that none touches are left out."""
        found: dict[str, Tensor] = {}
        for i in self.projects:
            own = {name: found.get(name, parameters[name]) for name in self._touched[i]}
            found |= regularizers[i].project(own)
        return found


class _Recorder:
    """Keeps the outputs of the modules that a penalty asks for, during one forward pass."""

    def __init__(self, network: nn.Module, regularizer: Regularizer) -> None:
        self.outputs: dict[str, Tensor] = {}
        pattern = regularizer.activations
        self._modules = [
            (name, module) for name, module in network.named_modules() if pattern and fnmatchcase(name, pattern)
        ]
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> "_Recorder":
        self._handles = [module.register_forward_hook(self._hook(name)) for name, module in self._modules]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def keep(module: nn.Module, arguments: object, output: Tensor) -> None:
            self.outputs[name] = output

        return keep
