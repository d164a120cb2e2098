"""What a module, or a function of torch, is called in a diagram."""

from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from dlcli.experiment.diagram.graph import BlockKind
from dlcli.layers.dropout import Dropout

Sizes = int | tuple[int, ...]
ACTIVATIONS = frozenset(
    {
        *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "glu"),
        *("tanh", "sigmoid", "hardtanh", "hardsigmoid", "hardswish", "softplus", "softsign", "logsigmoid", "sin"),
        *("softmax", "log_softmax"),
    }
)
POOLINGS = frozenset({"mean", "amax", "logsumexp"})
WEIGHTED = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d"), "convolution"),
    **dict.fromkeys(("linear", "bilinear"), "affine"),
    **dict.fromkeys(("layer_norm", "batch_norm", "group_norm", "rms_norm", "instance_norm"), "normalization"),
    "embedding": "embedding",
}
"""Functions that take weights, which are then theirs rather than something that is merged."""
STEPS = {0: "first step", -1: "last step"}
"""What is left of a sequence where one step is taken."""
MERGES = {"add": "+", "sub": "−", "mul": "×", "div": "÷", "truediv": "÷", "cat": "concatenate", "concat": "concatenate"}
"""What functions of several tensors are called."""


class Label(NamedTuple):
    """What is written on a block.

    Args:
        text: The words.
        kind: Its kind.
    """

    text: str
    kind: BlockKind


def is_whole(name: str, module: nn.Module) -> bool:
    """Return whether a module is one block, whatever is in it: a layer, an activation or an attention."""
    return (
        not list(module.children())
        or name.rpartition(".")[2] == "activation"
        or "attention" in type(module).__name__.lower()
    )


def label_of(name: str, module: nn.Module) -> Label:
    """Return what is written on the block of a module."""
    kind = type(module).__name__
    if name.rpartition(".")[2] == "activation":
        return Label(kind, "activation")
    if isinstance(module, _ConvNd):
        return Label(_convolution(module), "convolution")
    if isinstance(module, nn.Linear):
        return Label(f"Linear {module.in_features} → {module.out_features}", "affine")
    if isinstance(module, nn.RNNBase):
        layers = f", {module.num_layers} layers" if module.num_layers > 1 else ""
        both = ", both directions" if module.bidirectional else ""
        return Label(f"{kind} {module.input_size} → {module.hidden_size}{layers}{both}", "recurrent")
    if isinstance(module, nn.Embedding):
        return Label(f"Embedding {module.num_embeddings} → {module.embedding_dim}", "embedding")
    if isinstance(module, Dropout):
        return Label(_dropout(module), "dropout")
    if isinstance(module, _DropoutNd):
        return Label(f"{kind} {module.p:g}", "dropout")
    if isinstance(module, _NormBase | nn.LayerNorm | nn.GroupNorm) or "norm" in kind.lower():
        return Label(kind.removeprefix("Feature"), "normalization")
    if "attention" in kind.lower():
        heads = getattr(module, "heads", getattr(module, "num_heads", None))
        causal = ", causal" if getattr(module, "causal", False) is True else ""
        return Label(f"{kind}{f', {heads} heads' if isinstance(heads, int) else ''}{causal}", "attention")
    if "pool" in kind.lower():
        size, stride = getattr(module, "kernel_size", None), getattr(module, "stride", None)
        steps = "" if stride is None or stride == size else f", stride {_sizes(stride)}"
        return Label(kind if size is None else f"{kind} {_square(size)}{steps}", "pooling")
    if type(module).__module__.startswith("torch.nn.modules.activation"):
        return Label(kind, "activation")
    if isinstance(module, nn.Flatten | nn.Unflatten):
        return Label(kind, "shape")
    return Label(kind, "embedding" if "embed" in kind.lower() else "other")


def label_of_function(name: str, before: Tensor | None, after: Tensor, arguments: tuple[Any, ...]) -> Label | None:
    """Return what is written on the block of a function of one tensor that is worth one; None for any other.

    Args:
        name: Name of the function, without underscores.
        before: What it was given.
        after: What it returned.
        arguments: All that it was given.

    Returns:
        The label.
    """
    if name in ACTIVATIONS:
        return Label(name, "activation")
    if name == "scaled_dot_product_attention":
        return Label("attention", "attention")
    if "pool" in name:
        return Label(name, "pooling")
    if name == "flip":
        return Label("reverse", "shape")
    if before is None:
        return None
    if name in POOLINGS and after.ndim < before.ndim:
        over = {4: " over pixels", 3: " over steps"}.get(before.ndim, "") if after.ndim == 2 else ""
        return Label(f"{'maximum' if name == 'amax' else name}{over}", "pooling")
    if name in ("flatten", "reshape", "view") and after.ndim == 2 and before.ndim > 2:
        return Label("flatten", "shape")
    if name == "getitem" and before.ndim == 3 and after.ndim == 2:
        index = arguments[1][1] if isinstance(arguments[1], tuple) and len(arguments[1]) > 1 else None
        return Label(STEPS.get(index, "one step") if isinstance(index, int) else "one step", "shape")
    return None


def function_name(function: Any) -> str:
    """Return the name of a function or operator of torch without what tells its variants apart: `add` of `__radd__`."""
    name = getattr(function, "__name__", str(function))
    bare = str(name).strip("_")
    if name.startswith("__") and bare[:1] in "ri" and bare[1:] in MERGES:
        return bare[1:]
    return bare


def _convolution(module: _ConvNd) -> str:
    parts = [f"{type(module).__name__} {_square(module.kernel_size)}, {module.in_channels} → {module.out_channels}"]
    if set(module.stride) != {1}:
        parts.append(f"stride {_sizes(module.stride)}")
    if set(module.dilation) != {1}:
        parts.append(f"dilation {_sizes(module.dilation)}")
    if module.groups > 1:
        parts.append(f"{module.groups} groups")
    return ", ".join(parts)


def _dropout(module: Dropout) -> str:
    # As it was asked for; the layer keeps it to 1/65536.
    rate = f"{float(module.rate):.2g}"
    if module.kind == "rows":
        return f"stochastic depth {rate}"
    return f"dropout {rate}" if module.kind == "inverted" else f"{module.kind} dropout {rate}"


def _square(size: Sizes) -> str:
    return f"{size}×{size}" if isinstance(size, int) else "×".join(map(str, size))


def _sizes(size: Sizes) -> str:
    if isinstance(size, int):
        return str(size)
    return str(size[0]) if len(set(size)) == 1 else "×".join(map(str, size))
