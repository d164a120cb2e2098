"""Conditions in a network: scale and shift after a normalization, computed from condition fields."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlcli.contracts.field import Field, InputOutput

ConditionUse = str | Mapping[str, str]
"""How one layer takes conditions: a field for both scale and shift, or `{ scale = "age", shift = "dose" }`, of which
either may be left out; `{}` for a layer without."""


class UnfitConditionsError(ValueError):
    """What a recipe says of conditions is not of the data, or not of the network."""


@dataclass(frozen=True)
class Conditioning:
    """Which condition fields decide scale and shift of one layer.

    Args:
        scale: Places among the conditions of those that decide y_s; empty for none, y_s = 1.
        shift: Likewise for y_b; empty for none, y_b = 0.
        widths: How many numbers a row of each condition has.
    """

    scale: tuple[int, ...]
    shift: tuple[int, ...]
    widths: tuple[int, ...]


class ConditionalNormalization(nn.Module):
    """Adaptive normalization: y_s · norm(h) + y_b, with y_s = 1 + W_s c_s + b_s and y_b = W_b c_b + b_b.

    Both maps begin at zero, so that a fresh network answers as one without conditions.

    Args:
        normalization: What normalizes h; `nn.Identity` leaves scale and shift alone.
        width: Number of features along `feature_dim`.
        conditioning: Which conditions are c_s and c_b; flattened and side by side where there are several.
        feature_dim: Dimension that holds features.

    Shape:
        h (B, …) with `width` features, and a condition (B, …) each; h's shape, dtype and device come out.

    Source: Perez et al. 2018, "FiLM"; Huang and Belongie 2017, "Arbitrary style transfer", for adaptive normalization.
    """

    def __init__(self, normalization: nn.Module, width: int, conditioning: Conditioning, feature_dim: int = 1) -> None:
        super().__init__()
        self.normalization = normalization
        self.feature_dim = feature_dim
        self.places = {"scale": conditioning.scale, "shift": conditioning.shift}
        for name, places in self.places.items():
            if places:
                affine = nn.Linear(sum(conditioning.widths[place] for place in places), width)
                nn.init.zeros_(affine.weight)
                nn.init.zeros_(affine.bias)
                self.add_module(name, affine)

    def forward(self, h: Tensor, conditions: Sequence[Tensor]) -> Tensor:
        """Normalize, scale and shift."""
        y: Tensor = self.normalization(h)
        if self.places["scale"]:
            y = y * (1 + self._of("scale", y, conditions))
        if self.places["shift"]:
            y = y + self._of("shift", y, conditions)
        return y

    def _of(self, name: str, like: Tensor, conditions: Sequence[Tensor]) -> Tensor:
        rows = [conditions[place].flatten(1) for place in self.places[name]]
        made: Tensor = self.get_submodule(name)(rows[0] if len(rows) == 1 else torch.cat(rows, dim=1))
        shape = [1] * like.ndim
        shape[0], shape[self.feature_dim] = made.shape
        return made.view(shape)


class ConditionalSequential(nn.ModuleList):
    """Modules one after another, each called with what the one before it returned and with the conditions."""

    def forward(self, x: Tensor, conditions: Sequence[Tensor] = ()) -> Tensor:
        """Pass through all of them."""
        for module in self:
            x = module(x, conditions)
        return x


def conditionings(
    name: str, io: InputOutput, layers: int, uses: Sequence[ConditionUse] = ()
) -> tuple[Conditioning | None, ...]:
    """Plan which layer takes which condition.

    Args:
        name: Name of the architecture, for errors.
        io: What it is built for.
        layers: How many layers can take conditions.
        uses: The first entry for the first layer, and so on; further layers take none. Empty: every layer takes all
            conditions for both scale and shift.

    Returns:
        One entry a layer, None where it takes no condition.

    Raises:
        UnfitConditionsError: A condition is used nowhere; an entry names none; there are too many entries.
        ValueError: A condition is not numbers, or there is no layer that could take it.
    """
    fields = {field.name: place for place, field in enumerate(io.conditions)}
    if not fields:
        if uses:
            raise UnfitConditionsError(
                f"{name} is to take conditions ({_listed(uses)}), but the data has none; give fields the role "
                "condition, in the file or with data.fields"
            )
        return (None,) * layers
    for field in io.conditions:
        _refuse_categories(name, field)
    if not layers:
        raise ValueError(
            f"{name} has no layer that could take the conditions {', '.join(fields)}; add a hidden layer, or give "
            "these fields the role input"
        )
    widths = tuple(math.prod(field.shape) for field in io.conditions)
    if not uses:
        every = tuple(fields.values())
        return (Conditioning(every, every, widths),) * layers
    if len(uses) > layers:
        count = "1 layer that takes" if layers == 1 else f"{layers} layers that take"
        raise UnfitConditionsError(f"{name} has {count} conditions, but {len(uses)} entries in conditions")
    found = [_conditioning(name, use, fields, widths) for use in uses]
    used = {place for entry in found if entry is not None for place in (*entry.scale, *entry.shift)}
    if unused := [field for field, place in fields.items() if place not in used]:
        raise UnfitConditionsError(
            f"{name} does not use the condition {unused[0]}: add it to conditions, or leave it out with data.fields"
        )
    return (*found, *[None] * (layers - len(found)))


def _conditioning(
    name: str, use: ConditionUse, fields: Mapping[str, int], widths: tuple[int, ...]
) -> Conditioning | None:
    both = {"scale": use, "shift": use} if isinstance(use, str) else dict(use)
    if not both:
        return None
    if wrong := sorted(both.keys() - {"scale", "shift"}):
        raise UnfitConditionsError(
            f"{name}: an entry of conditions is a field, or has scale and shift, such as "
            f'{{ scale = "age", shift = "dose" }}; got {wrong[0]}'
        )
    for field in both.values():
        if field not in fields:
            raise UnfitConditionsError(
                f"{name}: there is no condition {field!r} in the data; there are {', '.join(fields)}"
            )
    places = {part: (fields[both[part]],) if part in both else () for part in ("scale", "shift")}
    return Conditioning(places["scale"], places["shift"], widths)


def _refuse_categories(name: str, field: Field) -> None:
    if field.kind in ("tokens", "categorical"):
        raise ValueError(
            f"{name} needs numbers, but condition {field.name} holds {field.kind}; put "
            + ('"one_hot" into data.preprocess, or ' if field.kind == "categorical" else "")
            + '"embed" into model.inputs'
        )


def _listed(uses: Sequence[ConditionUse]) -> str:
    return ", ".join(use if isinstance(use, str) else ", ".join(use.values()) for use in uses)
