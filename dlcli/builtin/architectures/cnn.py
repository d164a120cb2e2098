"""The architecture `cnn`."""

from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

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
    DropoutKind,
    InputOutput,
    Normalization,
    PerMember,
    Window,
    by_name,
    conditionings,
    output_size,
)
from dlcli.builtin.architectures.one_image import image_shape

POOLS = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}
Count = Annotated[int, Field(ge=1)]
Padding = Literal["same", "valid"] | Annotated[int, Field(ge=0)]


class ConvolutionalBlock(nn.ModuleDict):
    """Convolutions, then a pooling where there is one, each by its name.

    Shape:
        (B, C, H, W); (B, channels, height, width) comes out.
    """

    def forward(self, maps: Tensor, conditions: tuple[Tensor, ...]) -> Tensor:
        """Pass through the layers; convolutions are called with the conditions."""
        for layer in self.values():
            maps = layer(maps, conditions) if isinstance(layer, AffineBlock) else layer(maps)
        return maps


class ConvolutionalNetwork(nn.Module):
    """Convolutional blocks, then hidden layers on the flattened maps, then an affine head.

    Args:
        blocks: From (B, C, H, W) to (B, channels, height, width).
        dropout: On the flattened maps.
        hidden: From the flattened maps to (B, width).
        head: From (B, width) to the outputs.

    Shape:
        One image (B, C, H, W); logits (B, O) come out.
    """

    def __init__(
        self, blocks: ConditionalSequential, dropout: Dropout, hidden: ConditionalSequential, head: nn.Linear
    ) -> None:
        super().__init__()
        self.blocks = blocks
        self.dropout = dropout
        self.hidden = hidden
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
        row = self.dropout(self.blocks(image, conditions).flatten(1))
        logits: Tensor = self.head(self.hidden(row, conditions))
        return logits


class CNN(Architecture):
    """Convolutional network: INPUT → [[CONV → ACT]×N → POOL?]×M → [FC → ACT]×K → FC.

    M blocks of N = `convolutions` convolutions, each with normalization and activation, then a pooling; `channels`
    gives one width for each block, `hidden` one for each of K hidden layers. Layers are named
    `blocks.0.convolution_0.affine`, …, `hidden.0.affine`, …, `head`. A window of F pixels, stride S and padding P has
    N' = (N − F + 2P) / S + 1 places on N pixels, which must be whole. For images; without pooling or stride the first
    hidden layer gets very large, and deep stacks want `norm` or `resnet`.

    Args:
        channels: Output channels of every block, each ≥ 1.
        convolutions: Convolutions in a block, ≥ 1.
        kernel_size: Height and width of kernels in pixels, ≥ 1; this and the next four may be a number for each block.
        stride: Pixels from one place of the kernel to the next, ≥ 1; of every convolution.
        padding: Pixels of zeros at each edge; `same` makes it dilation · (kernel_size − 1) / 2, which keeps height and
            width at stride 1 and wants an odd kernel, `valid` makes it 0.
        dilation: Pixels from one value under the kernel to the next, ≥ 1.
        groups: Into how many groups channels are divided that do not see one another, ≥ 1; divides the channels.
        bias: Whether convolutions have a bias; before a norm that removes it there is none anyway.
        pool: What ends a block: `max`, `avg` or `none`.
        pool_size: Height and width of the pooled patches in pixels, ≥ 1.
        pool_stride: Pixels from one patch to the next; None for `pool_size`.
        floor: Whether pixels at the edge that no kernel or patch reaches may be dropped, rather than being an error.
        hidden: Widths of the layers between the maps and the head, each ≥ 1.
        activation: What follows every convolution and hidden layer.
        norm: What stands before every activation.
        dropout: Probability in [0, 1) that a value of the flattened maps or of a hidden layer is dropped in training.
        map_dropout: Probability in [0, 1) that a whole feature map is dropped after a convolution in training.
        dropout_kind: `inverted`, or `alpha`, which goes with `selu`.
        conditions: How convolutions, then hidden layers take condition fields, as in `mlp`.

    Shape:
        image (B, C, H, W) gives logits or targets (B, O).

    Raises:
        ValueError: An even kernel with `padding = "same"`, or other than one number a block. From `build`: a size that
            is not whole and positive, or inputs, conditions or a target that it cannot do.

    Source: LeCun et al. 1998, "Gradient-based learning applied to document recognition".
    """

    name: ClassVar[str] = "cnn"

    channels: tuple[Count, ...] = Field((32, 64), min_length=1, description="output channels of every block")
    convolutions: int = Field(1, ge=1, description="convolutions in a block")
    kernel_size: Count | tuple[Count, ...] = Field(3, description="height and width of kernels, in pixels")
    stride: Count | tuple[Count, ...] = Field(1, description="pixels from one place of the kernel to the next")
    padding: Padding | tuple[Padding, ...] = Field(
        "same", description="pixels of zeros at each edge; same keeps height and width at stride 1; valid is 0"
    )
    dilation: Count | tuple[Count, ...] = Field(1, description="pixels from one value under the kernel to the next")
    groups: Count | tuple[Count, ...] = Field(1, description="groups of channels that do not see one another")
    bias: bool = Field(True, description="whether convolutions have a bias")
    pool: Literal["max", "avg", "none"] = Field("max", description="what ends a block")
    pool_size: int = Field(2, ge=1, description="height and width of the pooled patches, in pixels")
    pool_stride: Count | None = Field(None, description="pixels from one patch to the next; None for pool_size")
    floor: bool = Field(False, description="whether pixels at the edge that nothing reaches may be dropped")
    hidden: tuple[Count, ...] = Field((128,), description="widths of the layers between the maps and the head")
    activation: Activation = by_name("dlcli:relu")
    norm: Normalization = by_name("dlcli:none")
    dropout: PerMember = Field(0.0, ge=0, lt=1, description="probability that a value before or in the head is dropped")
    map_dropout: PerMember = Field(0.0, ge=0, lt=1, description="probability that a feature map is dropped")
    dropout_kind: DropoutKind = Field("inverted", description="what is dropped together, or replaced; alpha for selu")
    conditions: tuple[ConditionUse, ...] = Field((), description="which conditions scale and shift each layer")

    @model_validator(mode="after")
    def _blocks_agree(self) -> Self:
        for name in ("kernel_size", "stride", "padding", "dilation", "groups"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != len(self.channels):
                raise ValueError(
                    f"{name} is one number, or one for each of the {len(self.channels)} blocks; got {len(value)}"
                )
        for block, kernel in enumerate(self._each("kernel_size")):
            if self._each("padding")[block] == "same" and kernel % 2 == 0:
                raise ValueError(
                    f'padding = "same" needs an odd kernel_size, got {kernel}; use {kernel + 1}, or padding = "valid"'
                )
        return self

    def ignored(self) -> tuple[str, ...]:
        """Say where there is no pooling of the given size, or no dropout of the given kind."""
        found = []
        if self.pool == "none":
            sizes = {"pool_size": self.pool_size != 2, "pool_stride": self.pool_stride is not None}
            found += [f'{name} is not used, since pool = "none"' for name, given in sizes.items() if given]
        if self.dropout_kind != "inverted" and not self.dropout:
            found.append(f'dropout_kind = "{self.dropout_kind}" is not used, since dropout = 0')
        return tuple(found)

    def build(self, io: InputOutput) -> nn.Module:
        """Build the network, after checking every size; torch's default initial values."""
        channels, height, width = image_shape(self.name, io)
        area = self._after_blocks("height", height) * self._after_blocks("width", width)
        self._check_groups(channels)
        count = len(self.channels) * self.convolutions
        uses = iter(conditionings(self.name, io, count + len(self.hidden), self.conditions))
        blocks = [
            self._block(block, narrow, wide, uses)
            for block, (narrow, wide) in enumerate(pairwise((channels, *self.channels)))
        ]
        widths = (self.channels[-1] * area, *self.hidden)
        hidden = [
            AffineBlock(
                partial(nn.Linear, narrow),
                wide,
                normalization=self.norm,
                activation=self.activation,
                dropout=self.dropout,
                dropout_kind=self.dropout_kind,
                conditioning=next(uses),
            )
            for narrow, wide in pairwise(widths)
        ]
        return ConvolutionalNetwork(
            ConditionalSequential(blocks),
            Dropout(self.dropout, self.dropout_kind),
            ConditionalSequential(hidden),
            nn.Linear(widths[-1], io.outputs),
        )

    def _each(self, name: str) -> tuple[Any, ...]:
        """Return a parameter's value for each block."""
        value = getattr(self, name)
        return value if isinstance(value, tuple) else (value,) * len(self.channels)

    def _window(self, block: int) -> Window:
        kernel, stride, dilation = (self._each(name)[block] for name in ("kernel_size", "stride", "dilation"))
        padding: Padding = self._each("padding")[block]
        if isinstance(padding, str):
            padding = dilation * (kernel - 1) // 2 if padding == "same" else 0
        return Window(kernel, stride, padding, dilation)

    def _after_blocks(self, what: str, pixels: int) -> int:
        """Return what is left of an image's height or width, or say which layer does not fit."""
        whole = pixels
        for block in range(len(self.channels)):
            for place in range(self.convolutions):
                where = f"cnn: blocks.{block}.convolution_{place}"
                left = output_size(where, what, pixels, self._window(block), floor=self.floor)
                if left == pixels:  # so do the others: a model folder of others may ask for any number of them
                    break
                pixels = left
            if self.pool != "none":
                if pixels < self.pool_size:
                    raise ValueError(
                        f"cnn: blocks.{block}.pool takes patches of {self.pool_size} pixels, but only {pixels} of the "
                        f"image's {whole} are left there; use fewer channels, a smaller pool_size, or "
                        'pool = "none"'
                    )
                window = Window(self.pool_size, self.pool_stride or self.pool_size)
                where = f"cnn: blocks.{block}.pool"
                pixels = output_size(where, what, pixels, window, floor=self.floor, largest_padding=0)
        return pixels

    def _check_groups(self, channels: int) -> None:
        for block, (narrow, wide) in enumerate(pairwise((channels, *self.channels))):
            groups = self._each("groups")[block]
            if narrow % groups or wide % groups:
                raise ValueError(
                    f"cnn: blocks.{block} has {groups} groups, which must divide its {narrow} input and {wide} output "
                    "channels"
                )

    def _block(self, block: int, narrow: int, wide: int, uses: Iterator[Conditioning | None]) -> ConvolutionalBlock:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for place in range(self.convolutions):
            layers[f"convolution_{place}"] = AffineBlock(
                partial(self._convolution, block, wide if place else narrow),
                wide,
                normalization=self.norm,
                activation=self.activation,
                dropout=self.map_dropout,
                dropout_kind="spatial",
                conditioning=next(uses),
            )
        if self.pool != "none":
            layers["pool"] = POOLS[self.pool](self.pool_size, self.pool_stride)
        return ConvolutionalBlock(layers)

    def _convolution(self, block: int, narrow: int, wide: int, bias: bool) -> nn.Conv2d:
        window = self._window(block)
        return nn.Conv2d(
            narrow,
            wide,
            window.kernel,
            stride=window.stride,
            padding=window.padding,
            dilation=window.dilation,
            groups=self._each("groups")[block],
            bias=bias and self.bias,
        )
