"""A plugin with an architecture for sequences of any length, and one that can be exported in no or only one format."""

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from dlcli import Architecture, InputOutput, hookimpl

if TYPE_CHECKING:
    from dlcli import Registrar


class Walk(nn.Module):
    """The mean over valid steps of a hidden layer, and what a condition adds."""

    def __init__(self, io: InputOutput) -> None:
        super().__init__()
        self.step = nn.Linear(io.inputs[0].shape[-1], 8)
        self.head = nn.Linear(8 + sum(field.shape[0] for field in io.conditions), io.outputs)

    def forward(
        self,
        x: Tensor,
        *,
        conditions: tuple[Tensor, ...] = (),
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return logits."""
        hidden = self.step(x).tanh()
        if lengths is not None:
            valid = torch.arange(x.shape[1], device=x.device) < lengths.unsqueeze(1)
            pooled = (hidden * valid.unsqueeze(-1)).sum(1) / lengths.unsqueeze(1)
        else:
            pooled = hidden.mean(1)
        logits: Tensor = self.head(torch.cat([pooled, *conditions], dim=1))
        return logits


class Fixed(Walk):
    """Takes the steps of its data alone."""

    def __init__(self, io: InputOutput) -> None:
        super().__init__(io)
        self.position = nn.Parameter(torch.randn(io.inputs[0].shape))

    def forward(self, x: Tensor, **rest: Tensor | None) -> Tensor:  # type: ignore[override]
        """Return logits."""
        return super().forward(x + self.position, **rest)  # type: ignore[arg-type]


class Undecided(nn.Module):
    """Looks at a value to decide what to do."""

    def forward(self, x: Tensor) -> Tensor:
        """Return what it has decided."""
        return x if float(x.detach().sum()) > 0 else -x


class Walks(Architecture):
    """A network for sequences."""

    name: ClassVar[str] = "walks"

    def build(self, io: InputOutput) -> nn.Module:
        """Build it."""
        return Walk(io)


class FixedWalks(Architecture):
    """A network for sequences of one length."""

    name: ClassVar[str] = "fixed_walks"

    def build(self, io: InputOutput) -> nn.Module:
        """Build it."""
        return Fixed(io)


class Decides(Architecture):
    """A network of features that no recorder can follow."""

    name: ClassVar[str] = "decides"

    def build(self, io: InputOutput) -> nn.Module:
        """Build it."""
        layers = nn.Sequential(nn.Linear(io.inputs[0].shape[0], io.outputs), Undecided())
        return Plain(layers)


class Special(Architecture):
    """A network of features with an operation that ONNX lacks."""

    name: ClassVar[str] = "special"

    def build(self, io: InputOutput) -> nn.Module:
        """Build it."""
        return Plain(nn.Sequential(nn.Linear(io.inputs[0].shape[0], io.outputs), Bessel()))


class Bessel(nn.Module):
    """A function that few formats know."""

    def forward(self, x: Tensor) -> Tensor:
        """Return it."""
        return x + torch.special.bessel_j0(x.detach())


class Plain(nn.Module):
    """Layers that take nothing but inputs."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor, **_: object) -> Tensor:
        """Return logits."""
        found: Tensor = self.layers(x)
        return found


@hookimpl
def register(registry: "Registrar") -> None:
    """Name them."""
    registry.add("architecture", "walks", "walks:Walks")
    registry.add("architecture", "fixed_walks", "walks:FixedWalks")
    registry.add("architecture", "decides", "walks:Decides")
    registry.add("architecture", "special", "walks:Special")
