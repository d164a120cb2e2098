"""The architecture `transformer`."""

import math
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from dlcli import (
    Activation,
    AffineBlock,
    Architecture,
    ConditionalNormalization,
    Conditioning,
    ConditionUse,
    Dropout,
    InputOutput,
    Normalization,
    PerMember,
    by_name,
    conditionings,
)
from dlcli.builtin.architectures.steps import at_least_one, last_steps, side_by_side, step_width


class SelfAttention(nn.Module):
    """softmax(Q Kᵀ / sqrt(D)) V of several heads, then an affine map.

    Args:
        width: Width E of a step; a multiple of the heads.
        heads: How many look at the row in ways of their own, D = E / heads wide each.
        causal: Whether a step sees itself and those before it alone.

    Shape:
        (B, T, E), and which steps are valid, bool (B, 1, 1, T), or None; (B, T, E) comes out.
    """

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.projection = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """Mix the values of all steps that a step may see."""
        rows, steps, width = x.shape
        split = self.projection(x).view(rows, steps, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        # Padding is at the end, so that of a causal network no valid step sees any.
        mask = None if self.causal else valid
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=self.causal)
        made: Tensor = self.output(mixed.transpose(1, 2).reshape(rows, steps, width))
        return made


class EncoderBlock(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)).

    Args:
        norms: The two normalizations.
        attention: The first branch.
        feed_forward: The second: an `AffineBlock`, then an affine map back.
        dropout: On each branch's output.
        stochastic_depth: On each branch, by whole rows.

    Shape:
        (B, T, E); the same comes out.
    """

    def __init__(
        self,
        norms: Sequence[nn.Module],
        attention: SelfAttention,
        feed_forward: nn.Sequential,
        dropout: PerMember,
        stochastic_depth: PerMember,
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norms)
        self.attention = attention
        self.feed_forward = feed_forward
        self.dropouts = nn.ModuleList([Dropout(dropout), Dropout(dropout)])
        self.drops = nn.ModuleList([Dropout(stochastic_depth, "rows"), Dropout(stochastic_depth, "rows")])

    def forward(self, x: Tensor, conditions: Sequence[Tensor], valid: Tensor | None) -> Tensor:
        """Add both branches."""
        x = x + self.drops[0](self.dropouts[0](self.attention(_normalized(self.norms[0], x, conditions), valid)))
        added: Tensor = self.feed_forward(_normalized(self.norms[1], x, conditions))
        return x + self.drops[1](self.dropouts[1](added))  # type: ignore[no-any-return]


class TransformerNetwork(nn.Module):
    """Steps, mapped to E numbers with their positions added, through encoder blocks to an affine head.

    Args:
        projection: From (B, T, F) to (B, T, E).
        positions: (T, E), learned; or fixed, then made longer where rows are; None for none.
        dropout: On their sum.
        blocks: The encoder blocks.
        norm: On what the last block made.
        head: From E to the outputs.
        pool: What the head reads of a row: `mean` or `last` of its valid steps; None for every step.

    Shape:
        Sequences (B, T, F) side by side; logits (B, O), or (B, T, O) per position, come out.
    """

    positions: Tensor | None

    def __init__(
        self,
        projection: nn.Linear,
        positions: Tensor | None,
        dropout: Dropout,
        blocks: Sequence[EncoderBlock],
        norm: nn.Module,
        head: nn.Linear,
        pool: Literal["mean", "last"] | None,
    ) -> None:
        super().__init__()
        self.projection = projection
        if isinstance(positions, nn.Parameter) or positions is None:
            self.register_parameter("positions", positions)
        else:
            self.register_buffer("positions", positions, persistent=False)
        self.dropout = dropout
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm
        self.head = head
        self.pool = pool

    def forward(
        self,
        *inputs: Tensor,
        conditions: tuple[Tensor, ...] = (),
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return logits; a mask says which steps are valid where there are no lengths."""
        x, lengths = self.projection(side_by_side(inputs)), at_least_one(lengths)
        steps = x.shape[1]
        if self.positions is not None:
            x = x + self._placed(self.positions, steps)
        x = self.dropout(x)
        valid = mask if lengths is None else torch.arange(steps, device=x.device) < lengths[:, None]
        seen = None if valid is None else valid.bool()[:, None, None, :]
        for block in self.blocks:
            x = block(x, conditions, seen)
        x = self.norm(x)
        if self.pool == "last":
            x = last_steps(x, lengths)
        elif self.pool == "mean":
            weight = None if valid is None else valid.to(x.dtype)[:, :, None]
            x = x.mean(dim=1) if weight is None else (x * weight).sum(dim=1) / weight.sum(dim=1)
        logits: Tensor = self.head(x)
        return logits

    def _placed(self, positions: Tensor, steps: int) -> Tensor:
        known, width = positions.shape
        if steps <= known:
            return positions[:steps]
        if isinstance(positions, nn.Parameter):
            raise ValueError(f"there are learned positions for {known} steps, but rows have {steps}")
        return sinusoidal(steps, width).to(positions)


class Transformer(Architecture):
    """Transformer encoder: blocks of self-attention and feed-forward layers, each x + branch(norm(x)), over sequences.

    All sequences are read side by side. With one answer a row the head reads the mean, or the last, of its valid steps;
    with one a position it reads every step. Padding is never attended to. Layers are named `projection`,
    `blocks.0.attention.projection`, `blocks.0.feed_forward.0.affine`, …, `head`. Sees any two steps at once, where
    recurrent networks pass on from step to step; wants more rows and a warm-up, and costs T² in the steps.

    Args:
        width: Width E of a step, ≥ 1; a multiple of `heads`.
        layers: Encoder blocks, ≥ 1.
        heads: Heads of attention, ≥ 1.
        feed_forward: How many times wider than a step the feed-forward layer is, ≥ 1.
        causal: Whether a step sees itself and those before it alone, as where the next one is predicted.
        positions: How steps know their place: `sinusoidal`, `learned`, or `none`.
        pool: What the head reads where there is one answer a row: `mean` or `last`.
        activation: In the feed-forward layers.
        norm: Before each branch, and before the head.
        dropout: Probability in [0, 1) that a number is dropped in training, after every branch.
        stochastic_depth: Probability in [0, 1) that a row skips the last block's branches in training; less for earlier
            ones, in proportion to their depth.
        conditions: How blocks take condition fields, by scale and shift after both norms, as in `mlp`.

    Shape:
        sequences (B, T, F) give logits or targets (B, O), or (B, T, O) per position.

    Raises:
        ValueError: The width is no multiple of the heads. From `build`: inputs or conditions that it cannot do.

    Source: Vaswani et al. 2017, "Attention is all you need"; Xiong et al. 2020, "On layer normalization in the
    transformer architecture", for the place of the norm.
    """

    name: ClassVar[str] = "transformer"

    width: int = Field(128, ge=1, description="width of a step; a multiple of heads")
    layers: int = Field(2, ge=1, description="encoder blocks")
    heads: int = Field(4, ge=1, description="heads of attention")
    feed_forward: int = Field(4, ge=1, description="how many times wider than a step the feed-forward layer is")
    causal: bool = Field(False, description="whether a step sees itself and those before it alone")
    positions: Literal["sinusoidal", "learned", "none"] = Field("sinusoidal", description="how steps know their place")
    pool: Literal["mean", "last"] = Field("mean", description="what the head reads where there is one answer a row")
    activation: Activation = by_name("dlcli:relu")
    norm: Normalization = by_name("dlcli:layer")
    dropout: PerMember = Field(0.0, ge=0, lt=1, description="probability that a number is dropped after a branch")
    stochastic_depth: PerMember = Field(0.0, ge=0, lt=1, description="probability that a row skips the last block")
    conditions: tuple[ConditionUse, ...] = Field((), description="which conditions scale and shift each block")

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.width % self.heads:
            fitting = self.heads * max(1, round(self.width / self.heads))
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}; use {fitting}, or other heads")
        return self

    def build(self, io: InputOutput) -> nn.Module:
        """Build the network; torch's default initial values, learned positions from N(0, 0.02²)."""
        inner = step_width(self.name, io)
        projection = nn.Linear(inner, self.width)
        blocks = [
            self._block(self.stochastic_depth * (place / self.layers), conditioning)
            for place, conditioning in enumerate(conditionings(self.name, io, self.layers, self.conditions), start=1)
        ]
        return TransformerNetwork(
            projection,
            self._positions(io.inputs[0].shape[0]),
            Dropout(self.dropout),
            blocks,
            self.norm.build(self.width, -1),
            nn.Linear(self.width, io.outputs),
            None if io.per_position else self.pool,
        )

    def _block(self, rate: PerMember, conditioning: Conditioning | None) -> EncoderBlock:
        norms = [self.norm.build(self.width, -1) for _ in range(2)]
        if conditioning is not None:
            norms = [ConditionalNormalization(norm, self.width, conditioning, -1) for norm in norms]
        wide = self.width * self.feed_forward
        feed_forward = nn.Sequential(
            AffineBlock(
                partial(nn.Linear, self.width), wide, normalization=None, activation=self.activation, feature_dim=-1
            ),
            nn.Linear(wide, self.width),
        )
        attention = SelfAttention(self.width, self.heads, causal=self.causal)
        return EncoderBlock(norms, attention, feed_forward, self.dropout, rate)

    def _positions(self, steps: int) -> Tensor | None:
        if self.positions == "none":
            return None
        if self.positions == "learned":
            return nn.Parameter(0.02 * torch.randn(steps, self.width))
        return sinusoidal(steps, self.width)


def sinusoidal(steps: int, width: int) -> Tensor:
    """Return sin(t · 10000^(−2i/E)) in the even columns and cos of the same in the odd ones, (T, E)."""
    column = torch.arange(width)
    angle = torch.arange(steps)[:, None] * torch.exp(-math.log(10_000) * 2 * (column // 2) / width)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos())


def _normalized(norm: nn.Module, x: Tensor, conditions: Sequence[Tensor]) -> Tensor:
    made: Tensor = norm(x, conditions) if isinstance(norm, ConditionalNormalization) else norm(x)
    return made
