"""One of torch's optimizers for a stack whose members differ in learning rate and weight decay."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dlcli.contracts.member import Member
from dlcli.contracts.optimizer import Optimizer
from dlcli.training.checkpoint import optimizer_tensors, restore_optimizer
from dlcli.training.stacked_network import CannotStackError
from dlcli.training.step import bare_step, in_layout_of

PROBE_STEPS = 3


class StackOptimizer:
    """Moves stacked parameters; each member as its own optimizer would.

    Where all members have one rate and one decay the optimizer takes them. Otherwise it takes a step of rate 1 without
    decay, and each member's change is rescaled: θ ← θ + r (θ₁ − θ), with decoupled decay θ ← θ − r d θ besides.
    Coupled decay is then part of the gradient that it is given.

    Args:
        members: In the order of the stack.
        parameters: Stacked (M, …); changed in place.

    Raises:
        CannotStackError: A step of one member depends on its companions.
    """

    def __init__(self, members: Sequence[Member], parameters: Sequence[Tensor]) -> None:
        component = members[0].optimizer
        _probe(component)
        self._decays = [float(member.optimizer.weight_decay) for member in members]
        self._kind = component.decay
        self._one_decay = len(set(self._decays)) == 1 or component.decay == "none"
        self._own = [nn.Parameter(parameter) for parameter in parameters]
        self._optimizer = component.build(self._own, lr=1.0, weight_decay=0.0)
        self._group = self._optimizer.param_groups[0]
        self._own_decay = component.decay == "decoupled" and "weight_decay" in self._group
        self._bare_step = bare_step(self._optimizer)
        self._rates: list[float] = []
        self._factors: list[tuple[Tensor, Tensor]] = []
        self._before = [torch.empty_like(parameter) for parameter in parameters]

    @property
    def decays_in_gradient(self) -> bool:
        """Whether the gradients that `step` gets must hold the weight decay."""
        return self._kind == "coupled" and any(self._decays)

    def step(self, gradients: Sequence[Tensor | None], rates: Sequence[float]) -> None:
        """Take one step, without gradients being recorded.

        Args:
            gradients: One a parameter, (M, …); None leaves it where it is.
            rates: Learning rate of every member.
        """
        for parameter, gradient in zip(self._own, gradients, strict=True):
            parameter.grad = None if gradient is None else in_layout_of(parameter, gradient)
        alike = len(set(rates)) == 1 and (self._one_decay or self._kind != "decoupled")
        if alike:
            self._decay_alike(rates[0])
            self._group["lr"] = rates[0]
            self._bare_step()
            return
        self._group["lr"] = 1.0
        if self._own_decay:
            self._group["weight_decay"] = 0.0
        moved = [i for i, gradient in enumerate(gradients) if gradient is not None]
        own, before = [self._own[i].data for i in moved], [self._before[i] for i in moved]
        torch._foreach_copy_(before, own)
        self._bare_step()
        if rates != self._rates:
            self._rates = list(rates)
            rate = torch.tensor(rates, dtype=own[0].dtype, device=own[0].device)
            shrink = rate * torch.tensor(self._decays, dtype=rate.dtype, device=rate.device)
            shapes = [(-1, *[1] * (parameter.ndim - 1)) for parameter in self._own]
            self._factors = [(rate.view(shape), shrink.view(shape)) for shape in shapes]
        shrinks = self._kind == "decoupled" and any(self._decays)
        for i, now, then in zip(moved, own, before, strict=True):
            factor, shrink = self._factors[i]
            torch.lerp(then, now, factor, out=now)
            if shrinks:
                now.addcmul_(then, shrink, value=-1.0)

    def _decay_alike(self, rate: float) -> None:
        """Decoupled decay where all members have the same: within the optimizer's own pass, if it has one."""
        if self._kind != "decoupled" or not self._decays[0]:
            return
        if self._own_decay:
            self._group["weight_decay"] = self._decays[0]
        else:
            torch._foreach_mul_([p.data for p in self._own if p.grad is not None], 1 - rate * self._decays[0])

    def state(self) -> dict[str, Tensor]:
        """Return its tensors by `<parameter index>.<name>`, not copied."""
        return optimizer_tensors(self._optimizer)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put its tensors back."""
        restore_optimizer(self._optimizer, tensors)
        self._group = self._optimizer.param_groups[0]  # loading puts another in its place

    def selected(self, places: Tensor) -> dict[str, Tensor]:
        """Return its tensors for some of the members: what is one number for all of them stays."""
        return {name: t.index_select(0, places) if t.ndim else t for name, t in self.state().items()}


_PROBED: dict[str, str | None] = {}


def _probe(component: Optimizer) -> None:
    """Refuse an optimizer whose step of a stack is not the steps of its members."""
    key = component.stack_key()
    if key not in _PROBED:
        try:
            _PROBED[key] = _difference(component)
        except Exception as error:
            _PROBED[key] = f"it cannot step stacked parameters ({type(error).__name__}: {error})"
    if _PROBED[key]:
        raise CannotStackError(f"the optimizer {component.name} does not stack: {_PROBED[key]}")


def _difference(component: Optimizer) -> str | None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn((2, 4, 3), generator=generator)
    gradients = [torch.randn((2, 4, 3), generator=generator) for _ in range(PROBE_STEPS)]
    # Members as different in scale as members are: what is normalized over the stack shows.
    gradients = [gradient * torch.tensor([1.0, 100.0]).view(2, 1, 1) for gradient in gradients]
    together, tensors = _steps(component, start, gradients)
    alone = [_steps(component, start[i], [gradient[i] for gradient in gradients])[0] for i in range(2)]
    if any(t.ndim and t.shape != start.shape for t in tensors.values()):
        return "it keeps state of another shape than its parameter's"
    if not torch.allclose(together, torch.stack(alone), rtol=1e-4, atol=1e-6):
        return "a member's step depends on its companions"
    return None


def _steps(component: Optimizer, start: Tensor, gradients: Sequence[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    parameter = nn.Parameter(start.clone())
    optimizer = component.build([parameter], lr=0.1, weight_decay=0.0)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach(), optimizer_tensors(optimizer)
