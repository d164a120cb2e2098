"""One optimizer step of one member: batch → parameters → forward → loss + penalties → gradients → step → project."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from fnmatch import fnmatchcase
from functools import partial

import torch
from torch import Tensor, nn

from dlcli.contracts.batch import Batch
from dlcli.contracts.component import implements
from dlcli.contracts.member import Member
from dlcli.contracts.randomness import stream
from dlcli.contracts.regularizer import Regularizer
from dlcli.contracts.selector import select_parameters
from dlcli.errors import UsageError
from dlcli.training.evaluation import forward
from dlcli.training.objective import batch_loss


class Attached:
    """A regularizer with the parameters of one network that it touches.

    Args:
        regularizer: The regularizer.
        network: The network.
        stream_name: Purpose of its random stream.

    Raises:
        UsageError: Its selector matches no parameter although it works on parameters.
    """

    def __init__(self, regularizer: Regularizer, network: nn.Module, stream_name: str) -> None:
        self.regularizer = regularizer
        self.stream_name = stream_name
        parameters = dict(network.named_parameters())
        names = select_parameters(network, regularizer.select)
        works = any(implements(regularizer, method) for method in ("parameters", "penalty", "gradients", "project"))
        if works and not names:
            raise UsageError(
                f"the selector {regularizer.select!r} of the regularizer {regularizer.name} matches no parameter; "
                f"write weights, all, or globs over {', '.join(parameters)}"
            )
        self.parameters = {name: parameters[name] for name in names if parameters[name].requires_grad}
        self.generator: torch.Generator | None = None

    def start_epoch(self, seed: int, epoch: int, device: torch.device) -> None:
        """Begin the regularizer's random stream of an epoch."""
        self.generator = stream(seed, self.stream_name, epoch, device) if implements(self.regularizer, "draw") else None

    def noise(self, batch: Batch, names: tuple[str, ...]) -> dict[str, Tensor]:
        """Draw the noise of one step; empty where the regularizer draws none."""
        if self.generator is None:
            return {}
        shapes: dict[str, tuple[int, ...]] = {}
        if implements(self.regularizer, "batch"):
            shapes |= {name: tuple(tensor.shape) for name, tensor in zip(names, batch.inputs, strict=True)}
        if implements(self.regularizer, "parameters"):
            shapes |= {name: tuple(parameter.shape) for name, parameter in self.parameters.items()}
        return self.regularizer.draw(shapes, self.generator)


def bare_step(optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    """Return an optimizer's step without the wrappers that torch puts around its own optimizers' steps.

    They open a profiler range, look for hooks and talk to the compiler, which takes a small network longer than the
    fused update itself. The caller switches gradients off. Anybody else's optimizer keeps its wrappers.
    """
    step: Callable[..., object] = type(optimizer).step
    if not type(optimizer).__module__.startswith("torch.optim."):
        return optimizer.step
    while hasattr(step, "__wrapped__"):
        step = step.__wrapped__
    return partial(step, optimizer)


class Step:
    """Takes the optimizer steps of one member in the loop engine.

    Args:
        member: Whose.
        network: Its network.
        optimizer: Over the network's trainable parameters.
        device: Where the network lives.
    """

    def __init__(
        self, member: Member, network: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
    ) -> None:
        self.member, self.network, self.device = member, network, device
        self._optimizer_step = bare_step(optimizer)
        attached = [Attached(r, network, f"regularizer-{i}") for i, r in enumerate(member.regularizers)]

        def having(method: str) -> list[Attached]:
            return [a for a in attached if implements(a.regularizer, method)]

        # Given, because torch would make it anew at every step.
        self._one = torch.ones((), device=device)
        self._trained = [p for p in network.parameters() if p.requires_grad]
        self._drawing = having("draw")
        self._batch, self._parameters, self._penalty = having("batch"), having("parameters"), having("penalty")
        self._gradients, self._project = having("gradients"), having("project")
        self._changes_forward = bool(self._drawing or self._batch or self._parameters or self._penalty)
        self._input_names = tuple(field.name for field in member.io.inputs)

    def start_epoch(self, epoch: int) -> None:
        """Begin the random streams of an epoch."""
        for attached in self._drawing:
            attached.start_epoch(self.member.seed, epoch, self.device)

    def __call__(self, batch: Batch) -> Tensor:
        """Take one step on a batch at the optimizer's present rate.

        Args:
            batch: A training batch.

        Returns:
            The batch's loss without penalties, 0-d, detached, on the device.
        """
        if self._changes_forward:
            loss, objective = self._changed_objective(batch)
        else:
            output = forward(self.network, batch.inputs, batch)
            loss = objective = batch_loss(self.member.loss, output, (batch.target,), None, batch)
        for parameter in self._trained:
            parameter.grad = None
        torch.autograd.backward(objective, self._one)
        with torch.no_grad():
            for attached in self._gradients:
                self._change_gradients(attached)
            self._optimizer_step()
            for attached in self._project:
                for name, tensor in attached.regularizer.project(attached.parameters).items():
                    attached.parameters[name].copy_(tensor)
        return loss.detach()

    def _changed_objective(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, and the loss with penalties, where regularizers work on the forward pass."""
        noise = {id(a): a.noise(batch, self._input_names) for a in self._drawing}
        inputs, mix = batch.inputs, None
        targets: tuple[Tensor, ...] = (batch.target,)
        for attached in self._batch:
            if mix is not None:
                raise UsageError("two regularizers that mix batches cannot be combined: keep one of them")
            inputs, targets, mix = attached.regularizer.batch(inputs, targets[0], noise.get(id(attached), {}))
        changed: dict[str, Tensor] = {}
        for attached in self._parameters:
            own = {name: changed.get(name, parameter) for name, parameter in attached.parameters.items()}
            changed |= attached.regularizer.parameters(own, noise.get(id(attached), {}))
        with ExitStack() as stack:
            recorded = [(a, stack.enter_context(_Recorder(self.network, a.regularizer))) for a in self._penalty]
            output = self._forward(inputs, batch, changed)
        loss = batch_loss(self.member.loss, output, targets, mix, batch)
        objective = loss
        for attached, recorder in recorded:
            objective = objective + attached.regularizer.penalty(attached.parameters, recorder.outputs)
        return loss, objective

    def _forward(self, inputs: tuple[Tensor, ...], batch: Batch, changed: Mapping[str, Tensor]) -> Tensor:
        if not changed:
            return forward(self.network, inputs, batch)
        # torch.func costs most of a second to import: only where a regularizer changes parameters.
        from torch.func import functional_call

        def call(*arguments: Tensor, **extra: object) -> Tensor:
            output: Tensor = functional_call(self.network, dict(changed), arguments, extra)
            return output

        return forward(call, inputs, batch)

    def _change_gradients(self, attached: Attached) -> None:
        present = {name: p for name, p in attached.parameters.items() if p.grad is not None}
        gradients = {name: p.grad for name, p in present.items() if p.grad is not None}
        for name, gradient in attached.regularizer.gradients(gradients, present).items():
            present[name].grad = gradient


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
