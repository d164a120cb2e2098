"""The architecture `cnn`."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from dlcli import Activation, AffineBlock, Architecture, Dropout, InputOutput, Normalization, PerMember, by_name

POOLS = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}
Count = Annotated[int, Field(ge=1)]


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

    def __init__(self, blocks: nn.Sequential, dropout: Dropout, hidden: nn.Sequential, head: nn.Linear) -> None:
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
        """Return logits; conditions, lengths and mask are not used."""
        logits: Tensor = self.head(self.hidden(self.dropout(self.blocks(image).flatten(1))))
        return logits


class CNN(Architecture):
    """Convolutional network for one image: blocks of convolutions and pooling, hidden layers, an affine head.

    A block is `convolutions` times convolution, normalization and activation, then a pooling; `channels` gives one
    width for each block. Layers are named `blocks.0.convolution_0.affine`, …, `hidden.0.affine`, …, `head`.

    Args:
        channels: Output channels of every block, each ≥ 1.
        convolutions: Convolutions in a block, ≥ 1.
        kernel_size: Height and width of every kernel in pixels, ≥ 1; odd with `padding = "same"`.
        padding: `same` keeps height and width; `valid` loses kernel_size − 1 of each a convolution.
        pool: What ends a block: `max`, `avg` or `none`.
        pool_size: Height and width of the pooled patches in pixels, ≥ 1; a rest at the border is dropped.
        hidden: Widths of the layers between the maps and the head, each ≥ 1.
        activation: What follows every convolution and hidden layer.
        norm: What stands before every activation.
        dropout: Probability in [0, 1) that a value of the flattened maps or of a hidden layer is dropped in training.

    Shape:
        image (B, C, H, W) gives logits or targets (B, O).

    Raises:
        ValueError: An even kernel with `padding = "same"`. From `build`: an image too small for the layers, or inputs,
            conditions or a target that it cannot do.

    Source: LeCun et al. 1998, "Gradient-based learning applied to document recognition".
    """

    name: ClassVar[str] = "cnn"

    channels: tuple[Count, ...] = Field((32, 64), min_length=1, description="output channels of every block")
    convolutions: int = Field(1, ge=1, description="convolutions in a block")
    kernel_size: int = Field(3, ge=1, description="height and width of every kernel, in pixels")
    padding: Literal["same", "valid"] = Field("same", description="same keeps height and width; valid shrinks them")
    pool: Literal["max", "avg", "none"] = Field("max", description="what ends a block")
    pool_size: int = Field(2, ge=1, description="height and width of the pooled patches, in pixels")
    hidden: tuple[Count, ...] = Field((128,), description="widths of the layers between the maps and the head")
    activation: Activation = by_name("dlcli:relu")
    norm: Normalization = by_name("dlcli:none")
    dropout: PerMember = Field(0.0, ge=0, lt=1, description="probability that a value before or in the head is dropped")

    @model_validator(mode="after")
    def _same_padding_is_symmetric(self) -> Self:
        if self.padding == "same" and self.kernel_size % 2 == 0:
            raise ValueError(
                f'padding = "same" needs an odd kernel_size, got {self.kernel_size}; use {self.kernel_size + 1}, '
                'or padding = "valid"'
            )
        return self

    def build(self, io: InputOutput) -> nn.Module:
        """Build the network, after checking every size; torch's default initial values."""
        channels, height, width = _image_shape(io)
        area = self._after_blocks(height) * self._after_blocks(width)
        blocks = [self._block(narrow, wide) for narrow, wide in pairwise((channels, *self.channels))]
        widths = (self.channels[-1] * area, *self.hidden)
        hidden = [self._layer(partial(nn.Linear, narrow), wide, self.dropout) for narrow, wide in pairwise(widths)]
        return ConvolutionalNetwork(
            nn.Sequential(*blocks),
            Dropout(self.dropout),
            nn.Sequential(*hidden),
            nn.Linear(widths[-1], io.outputs),
        )

    def _after_blocks(self, pixels: int) -> int:
        """Return what is left of an image's height or width, or say which layer leaves nothing."""
        size = pixels
        for block in range(len(self.channels)):
            # Not one by one: a model folder of others may ask for any number of them.
            lost = self.kernel_size - 1 if self.padding == "valid" else 0
            convolution = (size - 1) // lost if lost else self.convolutions  # the first that is too large
            if convolution < self.convolutions:
                raise ValueError(
                    f"cnn: blocks.{block}.convolution_{convolution} has a kernel of {self.kernel_size} pixels, but "
                    f"only {size - convolution * lost} of the image's {pixels} are left there; use a smaller "
                    'kernel_size, fewer channels, or padding = "same"'
                )
            size -= lost * self.convolutions
            if self.pool != "none":
                if size < self.pool_size:
                    raise ValueError(
                        f"cnn: blocks.{block}.pool takes patches of {self.pool_size} pixels, but only {size} of the "
                        f"image's {pixels} are left there; use fewer channels, a smaller pool_size, or "
                        'pool = "none"'
                    )
                size //= self.pool_size
        return size

    def _block(self, narrow: int, wide: int) -> nn.Sequential:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for index in range(self.convolutions):
            layers[f"convolution_{index}"] = self._layer(
                partial(self._convolution, wide if index else narrow), wide, dropout=0.0
            )
        if self.pool != "none":
            layers["pool"] = POOLS[self.pool](self.pool_size)
        return nn.Sequential(layers)

    def _convolution(self, narrow: int, wide: int, bias: bool) -> nn.Conv2d:
        padding = self.kernel_size // 2 if self.padding == "same" else 0
        return nn.Conv2d(narrow, wide, self.kernel_size, padding=padding, bias=bias)

    def _layer(self, affine: Callable[[int, bool], nn.Module], width: int, dropout: PerMember) -> AffineBlock:
        return AffineBlock(affine, width, normalization=self.norm, activation=self.activation, dropout=dropout)


def _image_shape(io: InputOutput) -> tuple[int, int, int]:
    """Return channels, height and width of the one image, or say what it got instead."""
    if io.per_position:
        raise ValueError(
            "cnn gives one answer a row, but the target has one for every position; choose another architecture"
        )
    if io.conditions:
        names = ", ".join(field.name for field in io.conditions)
        raise ValueError(f"cnn takes no conditions, but the data has {names}; leave them out with data.fields")
    if [field.kind for field in io.inputs] != ["image"]:
        got = ", ".join(f"{field.name} ({field.kind})" for field in io.inputs)
        raise ValueError(f"cnn needs exactly one input, of kind image, got {got or 'none'}; or choose mlp")
    channels, height, width = io.inputs[0].shape
    return channels, height, width
