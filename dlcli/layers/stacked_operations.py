"""Carrying out operations for several members at once."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils import _pytree as pytree

from dlcli.layers.members import (
    Members,
    Operation,
    expand,
    has_members,
    join,
    of_each,
    on_rows,
    over,
    permute,
    pointwise,
    ranks,
    reshape,
    shifted,
    split_rows,
)

aten = torch.ops.aten


def apply(target: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out one operation for all members at once.

    By its rule where it has one; else member by member, which is right for every operation.

    Args:
        target: An operation of torch.
        args: Its arguments; any tensor at any depth may be `Members`.
        kwargs: Arguments by name.

    Returns:
        Its result, in which what differs between members is `Members`.
    """
    if target is operator.getitem:
        return args[0][args[1]]
    members = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Members)]
    if not members:
        return target(*args, **kwargs)
    rule = _RULES.get(getattr(target, "overloadpacket", target))
    if rule is None and torch.Tag.pointwise in getattr(target, "tags", ()):
        rule = pointwise
    if rule is not None:
        found = rule(target, *args, **kwargs)
        if found is not NotImplemented:
            return found
    return _one_by_one(target, args, kwargs, members[0].count)


def _one_by_one(target: Operation, args: Sequence[Any], kwargs: Mapping[str, Any], count: int) -> Any:
    results = []
    for index in range(count):

        def own(value: Members, index: int = index) -> Tensor:
            return value.tensor[index]

        own_args, own_kwargs = pytree.tree_map_only(Members, own, (tuple(args), dict(kwargs)))
        results.append(target(*own_args, **own_kwargs))
    leaves, spec = zip(*map(pytree.tree_flatten, results), strict=True)
    stacked = [
        Members(torch.stack(each)) if isinstance(each[0], Tensor) else each[0] for each in zip(*leaves, strict=True)
    ]
    return pytree.tree_unflatten(stacked, spec[0])


def _linear(target: Operation, x: Any, weight: Any, bias: Any = None) -> Any:
    if not isinstance(weight, Members):
        return Members(functional.linear(x.tensor, weight, bias)) if not has_members(bias) else NotImplemented
    own = isinstance(x, Members)
    shape = x.tensor.shape[1:] if own else x.shape
    rows = x.tensor.reshape(x.count, -1, shape[-1]) if own else x.reshape(-1, shape[-1])
    factors = rows, weight.tensor.transpose(1, 2)
    shift = bias.tensor.unsqueeze(1) if isinstance(bias, Members) else bias
    if shift is None:
        product = torch.matmul(*factors)
    else:
        product = torch.baddbmm(shift, *factors) if own else torch.matmul(*factors) + shift
    return Members(product if len(shape) == 2 else product.reshape(weight.count, *shape[:-1], weight.tensor.shape[1]))


def _matmul(target: Operation, first: Any, second: Any) -> Any:
    if min(ranks(first), ranks(second)) < 2:
        return NotImplemented
    rank = ranks((first, second))
    return Members(torch.matmul(over(first, rank), over(second, rank)))


def _addmm(target: Operation, bias: Any, first: Any, second: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    if beta != 1 or alpha != 1:
        return NotImplemented
    product = apply(aten.matmul.default, (first, second), {})
    return apply(aten.add.Tensor, (bias, product), {})


def _convolution(target: Operation, x: Any, weight: Any, bias: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Convolve each member's rows as channels of their own: a grouped convolution."""
    if ranks(x) != ranks(weight):  # one row without a dimension of rows
        return NotImplemented
    if not has_members((weight, bias)):
        return on_rows(target, x, weight, bias, *args, **kwargs)
    count = next(leaf.count for leaf in (x, weight, bias) if isinstance(leaf, Members))
    names = [argument.name for argument in target._schema.arguments[3:]]  # type: ignore[attr-defined]
    named = dict(zip(names, args, strict=False)) | kwargs
    groups = named.pop("groups", 1)
    filters = of_each(weight, count).flatten(0, 1)
    shifts = None if bias is None else of_each(bias, count).flatten(0, 1)
    if isinstance(x, Members) or groups != 1:
        x, groups = of_each(x, count).transpose(0, 1).flatten(1, 2), groups * count
    found = target(x, filters, shifts, **named, groups=groups)
    return Members(found.unflatten(1, (count, -1)).transpose(0, 1))


def _channels(value: Any, rank: int) -> Any:
    """Return one value a channel so that it broadcasts over rows (B, C, …)."""
    tensor = value.tensor if isinstance(value, Members) else value
    shape = (*tensor.shape[:-1], *(() if rank == 1 else (1,)), tensor.shape[-1], *(1,) * (rank - 2))
    return Members(tensor.reshape(shape)) if isinstance(value, Members) else tensor.reshape(shape)


def _batch_norm(target: Operation, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, *rest: Any) -> Any:
    """Normalize as torch's own kernel does: x · scale + shift, in one pass over x."""
    rank, eps = ranks(x), rest[1]
    scale = apply(aten.rsqrt.default, (apply(aten.add.Tensor, (variance, eps), {}),), {})
    scale = _scaled(scale, weight, None)
    shift = apply(aten.neg.default, (apply(aten.mul.Tensor, (mean, scale), {}),), {})
    shift = _scaled(shift, None, bias)
    # As the operation's, a tuple: statistics of the batch, which nothing asks for in evaluation, are left out.
    return (apply(aten.addcmul.default, (_channels(shift, rank), x, _channels(scale, rank)), {}),)


def _scaled(x: Any, weight: Any, bias: Any) -> Any:
    if weight is not None:
        x = apply(aten.mul.Tensor, (x, weight), {})
    return x if bias is None else apply(aten.add.Tensor, (x, bias), {})


def _layer_norm(
    target: Operation, x: Any, shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Any:
    tensor = x.tensor if isinstance(x, Members) else x
    found = functional.layer_norm(tensor, tuple(shape), eps=eps)
    return _scaled(Members(found) if isinstance(x, Members) else found, weight, bias)


def _rms_norm(target: Operation, x: Any, shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    tensor = x.tensor if isinstance(x, Members) else x
    found = functional.rms_norm(tensor, tuple(shape), eps=eps)
    return _scaled(Members(found) if isinstance(x, Members) else found, weight, None)


def _group_norm(
    target: Operation, x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Any:
    rank = ranks(x)
    found = functional.group_norm(x.tensor.flatten(0, 1) if isinstance(x, Members) else x, groups, eps=eps)
    whole = split_rows(found, x.count) if isinstance(x, Members) else found
    return _scaled(whole, *(value if value is None else _channels(value, rank) for value in (weight, bias)))


def _instance_norm(target: Operation, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, *rest: Any) -> Any:
    if not isinstance(x, Members) or mean is not None:
        return NotImplemented
    plain = split_rows(target(x.tensor.flatten(0, 1), None, None, None, None, *rest), x.count)
    return _scaled(plain, *(value if value is None else _channels(value, x.rank) for value in (weight, bias)))


def _embedding(target: Operation, weight: Any, indices: Any, *_: Any, **__: Any) -> Any:
    if not isinstance(weight, Members) or isinstance(indices, Members):
        return NotImplemented
    found = weight.tensor.index_select(1, indices.flatten())
    return Members(found.reshape(weight.count, *indices.shape, weight.tensor.shape[-1]))


def _attention(target: Operation, query: Any, key: Any, value: Any, mask: Any = None, *args: Any, **kwargs: Any) -> Any:
    if isinstance(mask, Members):
        return NotImplemented
    count = next(one.count for one in (query, key, value) if isinstance(one, Members))
    each = (of_each(one, count) for one in (query, key, value))
    return Members(target(*each, mask, *args, **kwargs))


def _prelu(target: Operation, x: Any, weight: Any) -> Any:
    slopes = _channels(weight, ranks(x)) if ranks(x) > 1 else weight
    negative = apply(aten.mul.Tensor, (slopes, apply(aten.clamp_max.default, (x, 0), {})), {})
    return apply(aten.add.Tensor, (apply(aten.clamp_min.default, (x, 0), {}), negative), {})


def _table(rule: Operation, names: str) -> dict[Any, Operation]:
    return {getattr(aten, name): rule for name in names.split() if hasattr(aten, name)}


_RULES: dict[Any, Operation] = {
    **_table(
        pointwise,
        "alias clone contiguous detach dropout feature_dropout alpha_dropout masked_fill lift_fresh_copy to "
        "_to_copy type_as zeros_like ones_like full_like hardswish log_sigmoid",
    ),
    **_table(
        on_rows,
        "max_pool1d max_pool2d max_pool3d max_pool2d_with_indices avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
        "adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d upsample_nearest1d "
        "upsample_nearest2d upsample_bilinear2d pad pixel_shuffle pixel_unshuffle",
    ),
    **_table(
        shifted,
        "transpose unsqueeze squeeze select slice index_select flatten unflatten sum mean amax amin argmax argmin "
        "softmax log_softmax _softmax _log_softmax logsumexp cumsum cumprod var std sort topk max min split chunk "
        "unbind flip roll narrow any all prod linalg_vector_norm glu",
    ),
    **_table(reshape, "view reshape _unsafe_view"),
    **_table(join, "cat concat concatenate stack"),
    **_table(_convolution, "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d"),
    **_table(_matmul, "matmul mm bmm"),
    aten.permute: permute,
    aten.expand: expand,
    aten.linear: _linear,
    aten.addmm: _addmm,
    aten._native_batch_norm_legit_no_training: _batch_norm,
    aten.layer_norm: _layer_norm,
    aten.rms_norm: _rms_norm,
    aten.group_norm: _group_norm,
    aten.instance_norm: _instance_norm,
    aten.embedding: _embedding,
    aten.scaled_dot_product_attention: _attention,
    aten.prelu: _prelu,
}
