"""The contract of a regularizer."""

from collections.abc import Mapping
from typing import ClassVar, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from dlcli.contracts.component import Component, implements
from dlcli.contracts.history import History
from dlcli.contracts.selector import WEIGHTS

METHODS = ("batch", "mix", "parameters", "activity", "penalty", "gradients", "project", "stop")
"""What a regularizer may do, in the order of a step."""
SELECTING = ("parameters", "penalty", "gradients", "project")
"""Those of them that see selected parameters."""
Parameters = Mapping[str, Tensor]
"""Tensors by parameter name: those that the regularizer's selector matches."""
Noise = Mapping[str, Tensor]
"""What `draw` returned, for one step."""


class MixedBatch(NamedTuple):
    """A batch that a regularizer changed.

    Args:
        inputs: One tensor a field.
        targets: One target, or two that were mixed.
        weight: Share of the first target, 0-d or (B,); None where there is one target.
    """

    inputs: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]
    weight: Tensor | None = None


class Regularizer(Component):
    """Anything that keeps a network from learning its training rows by heart; overrides any of the methods below.

    Tensor methods are pure and run under vmap on a copy whose per-member fields are 0-d tensors. `parameters`,
    `penalty`, `gradients` and `project` see only what `select` matches. Class attribute `activations`: glob over the
    names of modules whose outputs `activity` and `penalty` get, None where it needs none.

    Some rows of a batch may count 0: filler of a last batch, rows that a fold or a bootstrap holds out. What belongs to
    single rows therefore goes through `mix` and `activity`, which keep such rows out of what is learnt.

    Args:
        select: Which parameters: `weights` (no biases, no norms), `all`, or glob patterns joined by commas. One that
            touches no parameters refuses any but the default.
    """

    kind: ClassVar[str] = "regularizer"
    activations: ClassVar[str | None] = None

    select: str = Field(
        WEIGHTS, description="parameters it touches: weights (no biases, no norms), all, or globs joined by commas"
    )

    @property
    def selects(self) -> bool:
        """Whether it does anything to parameters, so that `select` has a meaning."""
        return any(implements(self, method) for method in SELECTING)

    @model_validator(mode="after")
    def _selects_something(self) -> Self:
        chosen = self.select != type(self).model_fields["select"].default
        if chosen and not self.selects:
            raise ValueError(f"{self.name} touches no parameters: leave out select = {self.select!r}")
        return self

    def draw(self, shapes: Mapping[str, tuple[int, ...]], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw one step's noise for one member.

        Args:
            shapes: Shapes by name: of the batch's inputs where it overrides `batch` or `mix`, then of the selected
                parameters where it overrides `parameters`.
            generator: The member's stream; draw from nothing else.

        Returns:
            Tensors by name, handed to `batch`, `mix` and `parameters` as `noise`.
        """
        return {}

    def batch(self, inputs: tuple[Tensor, ...], targets: Tensor, noise: Noise) -> MixedBatch:
        """Change every row of a training batch for itself, such as a random crop; inputs are preprocessed."""
        return MixedBatch(inputs, (targets,))

    def mix(self, inputs: tuple[Tensor, ...], targets: Tensor, weight: Tensor, noise: Noise) -> MixedBatch:
        """Change a training batch where rows come into other rows, such as mixup; calls `batch` unless overridden.

        Args:
            inputs: One preprocessed tensor a field (B, …).
            targets: As in `Task`.
            weight: What each row counts (B,), ≥ 0; nothing of a row that counts 0 may come into one that counts.
            noise: What `draw` returned.

        Returns:
            The batch; where it has two targets it is the last that changes it.
        """
        return self.batch(inputs, targets, noise)

    def parameters(self, parameters: Parameters, noise: Noise) -> Parameters:
        """Change parameters for this forward pass only, such as weight noise."""
        return parameters

    def penalty(self, parameters: Parameters, activations: Mapping[str, Tensor]) -> Tensor:
        """Return a 0-d penalty that is added to the loss once a step."""
        return torch.zeros(())

    def activity(self, activations: Mapping[str, Tensor]) -> Tensor:
        """Return each row's penalty on the outputs (B, …) of modules, (B,); its mean by row weights joins the loss."""
        return torch.zeros(())

    def gradients(self, gradients: Parameters, parameters: Parameters) -> Parameters:
        """Change gradients before the optimizer's step, such as clipping; same names and shapes."""
        return gradients

    def project(self, parameters: Parameters) -> Parameters:
        """Move parameters after the optimizer's step, such as onto a norm ball; same names and shapes."""
        return parameters

    def stop(self, history: History) -> str | None:
        """Return why training should stop after the last epoch, or None; a pure fold over the history.

        Before training it is asked once about an epoch whose values are all 1, so that it can raise `UsageError` where
        the history will lack what it needs.
        """
        return None
