"""The architecture `resnet`."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from dlcli import (
    Activation,
    AffineBlock,
    Architecture,
    ConditionalSequential,
    Conditioning,
    ConditionUse,
    Dropout,
    InputOutput,
    Normalization,
    PerMember,
    Residual,
    Window,
    by_name,
    conditionings,
    output_size,
)
from dlcli.builtin.architectures.one_image import image_shape

DEPTHS: dict[int, tuple[bool, tuple[int, ...]]] = {
    18: (False, (2, 2, 2, 2)),
    34: (False, (3, 4, 6, 3)),
    50: (True, (3, 4, 6, 3)),
}
"""Whether blocks are bottlenecks, and how many there are in each stage."""
BLOCKS = (2, 2, 2, 2)
EXPANSION = 4
"""How many times wider than its inner convolutions a bottleneck's output is."""
Count = Annotated[int, Field(ge=1)]


class ResidualBlock(nn.Module):
    """activation(shortcut(x) + branch(x)).

    Args:
        sum_: The sum.
        activation: What follows it.

    Shape:
        (B, C, H, W); (B, channels, height, width) comes out.
    """

    def __init__(self, sum_: Residual, activation: nn.Module) -> None:
        super().__init__()
        self.sum = sum_
        self.activation = activation

    def forward(self, maps: Tensor, conditions: tuple[Tensor, ...]) -> Tensor:
        """Add and activate."""
        found: Tensor = self.activation(self.sum(maps, conditions))
        return found


class ResidualNetwork(nn.Module):
    """A stem, residual blocks in stages, the mean over all pixels, an affine head.

    Args:
        stem: From (B, C, H, W) to the first maps, called with the conditions.
        pool: After the stem.
        stages: Blocks of each stage, called with the conditions.
        dropout: On the means.
        head: From (B, channels) to the outputs.

    Shape:
        One image (B, C, H, W); logits (B, O) come out.
    """

    def __init__(
        self, stem: AffineBlock, pool: nn.Module, stages: nn.ModuleList, dropout: Dropout, head: nn.Linear
    ) -> None:
        super().__init__()
        self.stem = stem
        self.pool = pool
        self.stages = stages
        self.dropout = dropout
        self.head = head

    def forward(
        self,
        image: Tensor,
        *,
        conditions: tuple[Tensor, ...] = (),
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return logits; lengths and mask are not used."""
        maps = self.pool(self.stem(image, conditions))
        for stage in self.stages:
            maps = stage(maps, conditions)
        logits: Tensor = self.head(self.dropout(maps.mean(dim=(2, 3))))
        return logits


class ResNet(Architecture):
    """Residual network for one image: y = activation(x + F(x)) in stages, each with half the pixels of the one before.

    F is two 3×3 convolutions, or with `bottleneck` a 1×1, a 3×3 and a 1×1 that is four times as wide; where sizes
    change, x goes through a 1×1 convolution and a norm. The stride of a bottleneck is in its 3×3. Layers are named
    `stem.affine`, `stages.0.0.sum.branch.0.affine`, …, `head`. For images, deep where `cnn` no longer learns; needs
    more rows, or augmentation, than `cnn`, and a norm.

    Args:
        depth: 18, 34 or 50, for the published numbers of blocks; by default `blocks` says how many.
        blocks: Blocks of each stage, each ≥ 1, where no depth is given; the default is a depth of 18.
        bottleneck: Whether these blocks are bottlenecks.
        width: Channels of the first stage, ≥ 1; doubled in every further one.
        stem: `imagenet`, 7×7 with stride 2 and a pooling with stride 2, for images from about 100 pixels; `small`, 3×3;
            `auto`, `imagenet` from 96 pixels on.
        activation: What follows every norm and sum.
        norm: What follows every convolution.
        dropout: Probability in [0, 1) that a mean before the head is dropped in training.
        stochastic_depth: Probability in [0, 1) that a row skips the last block in training; less for earlier ones, in
            proportion to their depth.
        conditions: How the stem, then each block takes condition fields, by scale and shift after its last norm, as in
            `mlp`.

    Shape:
        image (B, C, H, W) gives logits or targets (B, O).

    Raises:
        ValueError: A depth beside other blocks. From `build`: an image too small for the stages, or inputs, conditions
            or a target that it cannot do.

    Source: He et al. 2016, "Deep residual learning for image recognition".
    """

    name: ClassVar[str] = "resnet"

    depth: Literal[18, 34, 50] | None = Field(None, description="published number of layers, in place of blocks")
    blocks: tuple[Count, ...] = Field(
        BLOCKS, min_length=1, description="blocks of each stage, where depth is not given"
    )
    bottleneck: bool = Field(False, description="whether blocks are bottlenecks, where depth is not given")
    width: int = Field(64, ge=1, description="channels of the first stage; doubled in every further one")
    stem: Literal["auto", "imagenet", "small"] = Field("auto", description="how an image becomes the first maps")
    activation: Activation = by_name("dlcli:relu")
    norm: Normalization = by_name("dlcli:batch")
    dropout: PerMember = Field(0.0, ge=0, lt=1, description="probability that a mean before the head is dropped")
    stochastic_depth: PerMember = Field(0.0, ge=0, lt=1, description="probability that a row skips the last block")
    conditions: tuple[ConditionUse, ...] = Field((), description="which conditions scale and shift stem and blocks")

    @model_validator(mode="after")
    def _blocks_are_said_once(self) -> Self:
        if self.depth is not None:
            bottleneck, blocks = DEPTHS[self.depth]
            if self.blocks not in (BLOCKS, blocks) or (self.bottleneck and not bottleneck):
                kind = "bottlenecks" if bottleneck else "basic blocks"
                raise ValueError(
                    f"depth {self.depth} is {kind}, {', '.join(map(str, blocks))} in its stages, so that blocks "
                    f"{', '.join(map(str, self.blocks))} and bottleneck {str(self.bottleneck).lower()} would not be "
                    "used; leave out depth, or the other two"
                )
        return self

    def build(self, io: InputOutput) -> nn.Module:
        """Build the network, after checking every size; torch's default initial values."""
        channels, height, width = image_shape(self.name, io)
        bottleneck, counts = (self.bottleneck, self.blocks) if self.depth is None else DEPTHS[self.depth]
        large = self.stem == "imagenet" or (self.stem == "auto" and min(height, width) >= 96)
        for what, pixels in (("height", height), ("width", width)):
            self._check(what, pixels, len(counts), large)
        uses = iter(conditionings(self.name, io, 1 + sum(counts), self.conditions))
        stem = self._layer(channels, self.width, Window(7, 2, 3) if large else Window(3, 1, 1), next(uses))
        pool = nn.MaxPool2d(3, stride=2, padding=1) if large else nn.Identity()
        narrow, place, stages = self.width, 0, nn.ModuleList()
        for stage, count in enumerate(counts):
            blocks = ConditionalSequential()
            for index in range(count):
                place += 1
                inner = self.width * 2**stage
                stride = 2 if stage and not index else 1
                rate = self.stochastic_depth * (place / sum(counts))
                blocks.append(self._block(narrow, inner, stride, bottleneck, rate, next(uses)))
                narrow = inner * EXPANSION if bottleneck else inner
            stages.append(blocks)
        return ResidualNetwork(stem, pool, stages, Dropout(self.dropout), nn.Linear(narrow, io.outputs))

    def _check(self, what: str, pixels: int, stages: int, large: bool) -> None:
        if large:
            pixels = output_size("resnet: stem", what, pixels, Window(7, 2, 3), floor=True)
            pixels = output_size("resnet: pool", what, pixels, Window(3, 2, 1), floor=True)
        for stage in range(1, stages):
            if pixels == 1:
                stem = 'stem = "small", ' if large else ""
                raise ValueError(
                    f"resnet: stages.{stage} halves the {what}, of which one pixel is left there; use fewer stages "
                    f"(depth and blocks), {stem}or larger images"
                )
            pixels = output_size(f"resnet: stages.{stage}", what, pixels, Window(3, 2, 1), floor=True)

    def _block(
        self,
        narrow: int,
        inner: int,
        stride: int,
        bottleneck: bool,
        rate: PerMember,
        conditioning: Conditioning | None,
    ) -> ResidualBlock:
        wide = inner * EXPANSION if bottleneck else inner
        summed = wide * self.activation.input_multiple
        if bottleneck:
            branch = [
                self._layer(narrow, inner, Window(1)),
                self._layer(inner, inner, Window(3, stride, 1)),
                self._layer(inner, summed, Window(1), conditioning, activated=False),
            ]
        else:
            branch = [
                self._layer(narrow, inner, Window(3, stride, 1)),
                self._layer(inner, summed, Window(3, 1, 1), conditioning, activated=False),
            ]
        same = stride == 1 and narrow == summed
        shortcut = None if same else self._layer(narrow, summed, Window(1, stride), activated=False)
        return ResidualBlock(Residual(ConditionalSequential(branch), shortcut, rate), self.activation.build(wide))

    def _layer(
        self,
        narrow: int,
        wide: int,
        window: Window,
        conditioning: Conditioning | None = None,
        *,
        activated: bool = True,
    ) -> AffineBlock:
        def convolution(wide: int, bias: bool) -> nn.Conv2d:
            return nn.Conv2d(narrow, wide, window.kernel, stride=window.stride, padding=window.padding, bias=bias)

        return AffineBlock(
            convolution,
            wide,
            normalization=self.norm,
            activation=self.activation if activated else None,
            conditioning=conditioning,
        )
