"""Counts floating-point operations as torch does, and what torch counts as nothing or too often."""

import math
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

aten = torch.ops.aten


def flop_counter() -> FlopCounterMode:
    """Return torch's counter of floating-point operations, two a multiply-add, mended where it miscounts.

    Counted are products of matrices, convolutions and attention, as is usual: what is done element by element, by
    norms, activations and poolings, counts nothing, since it is little beside them. Recurrent layers that run as one
    operation count nothing either; `recurrent_multiply_adds` knows theirs.

    Returns:
        A context manager that prints nothing.
    """
    return FlopCounterMode(
        display=False,
        custom_mapping={
            aten.convolution_backward: _convolution_backward,
            aten._scaled_dot_product_flash_attention_for_cpu: _attention,
            aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
        },
    )


def recurrent_multiply_adds(module: nn.RNNBase, steps: int) -> int:
    """Return the multiply-adds of a recurrent layer: every weight is multiplied once a step.

    Of an LSTM from F to H numbers in one direction: 4 · H · (F + H) a step; of a GRU three times H · (F + H).

    Args:
        module: `nn.RNN`, `nn.LSTM` or `nn.GRU`, of any number of layers and directions.
        steps: Steps of all rows together; of packed rows the valid ones.

    Returns:
        Multiply-adds of the forward pass.
    """
    return steps * sum(weight.numel() for weight in module.parameters() if weight.ndim > 1)


def _convolution_backward(
    gradient: list[int],
    x: list[int],
    weight: list[int],
    bias: object,
    stride: object,
    padding: object,
    dilation: object,
    transposed: bool,
    output_padding: object,
    groups: int,
    wanted: list[bool],
    out_shape: object = None,
    **_: Any,
) -> int:
    """Count a forward convolution for each wanted gradient; torch counts that of grouped weights `groups` times."""
    pixels = x if transposed else gradient
    forward = 2 * pixels[0] * math.prod(pixels[2:]) * math.prod(weight)
    return forward * sum(wanted[:2])


def _attention(query: list[int], key: list[int], value: list[int], *_: object, **__: Any) -> int:
    """Count Q Kᵀ and its product with V; torch knows only the kernels of GPUs."""
    *rows, steps, width = query
    return 2 * math.prod(rows) * steps * key[-2] * (width + value[-1])


def _attention_backward(
    gradient: object, query: list[int], key: list[int], value: list[int], *_: object, **__: Any
) -> int:
    """Count Q Kᵀ once more, and two products for each of the two, as torch does on GPUs."""
    *rows, steps, width = query
    return 2 * math.prod(rows) * steps * key[-2] * (3 * width + 2 * value[-1])
