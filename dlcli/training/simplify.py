"""Passes over the graph of a stack's step: the same numbers from fewer and cheaper operations.

What vmap and autograd leave is written for any stack and any backward pass: views that change nothing, products with
1, a matrix product whose result is transposed at once, a sum apart from the product before it. All of it costs a small
network as much as its arithmetic. Every pass keeps the function; only the order of additions may differ.
"""

from collections.abc import Callable

import torch
from torch import Tensor, fx

aten = torch.ops.aten
SMALL_SOFTMAX = 32
"""Classes below which torch's softmax over the last dimension costs more than one over the middle and two copies."""
REPEATED = {
    aten.detach.default,
    aten.view.default,
    aten.transpose.int,
    aten.unsqueeze.default,
    aten.ne.Scalar,
    aten.where.self,
    aten.arange.default,
}
"""Pure operations that are computed once where the graph asks for them several times with the same arguments."""

IN_PLACE = {
    aten.relu.default: aten.relu_.default,
    aten.add.Tensor: aten.add_.Tensor,
    aten.mul.Tensor: aten.mul_.Tensor,
    aten.clamp.default: aten.clamp_.default,
    aten.neg.default: aten.neg_.default,
}
FRESH = {
    aten.baddbmm.default,
    aten.bmm.default,
    aten.convolution.default,
    aten._to_copy.default,
    aten.scatter_add.default,
    *IN_PLACE,
    *IN_PLACE.values(),
}
"""Operations whose result is memory of its own."""


def simplify(module: fx.GraphModule) -> None:
    """Rewrite a graph in place.

    Args:
        module: A graph of aten operations whose nodes carry `meta["val"]`.
    """
    graph = module.graph
    changed = True
    while changed:
        changed = False
        for node in list(graph.nodes):
            if node.op == "call_function" and any(rule(graph, node) for rule in RULES):
                changed = True
        _drop_unused(graph)
    _merge_repeated(graph)
    _keep_constants(module)
    for node in list(graph.nodes):
        _overwrite(node)
    _drop_unused(graph)
    graph.lint()
    module.recompile()


def _value(node: fx.Node) -> Tensor:
    value: Tensor = node.meta["val"]
    return value


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(_value(node).shape)


def _replace(node: fx.Node, other: fx.Node) -> bool:
    node.replace_all_uses_with(other)
    node.graph.erase_node(node)
    return True


def _call(graph: fx.Graph, target: Callable[..., object], arguments: tuple[object, ...], value: object) -> fx.Node:
    node = graph.call_function(target, arguments)  # type: ignore[arg-type]
    node.meta["val"] = value
    return node


def _transposes(node: object) -> bool:
    """Return whether a node swaps the last two of three dimensions."""
    return (
        isinstance(node, fx.Node)
        and node.target is aten.transpose.int
        and len(_shape(node)) == 3
        and {int(dim) % 3 for dim in node.args[1:3]} == {1, 2}  # type: ignore[arg-type]
    )


def _drop_what_changes_nothing(graph: fx.Graph, node: fx.Node) -> bool:
    target, arguments = node.target, node.args
    first = arguments[0] if arguments else None
    if not isinstance(first, fx.Node):
        return False
    if target is aten.detach.default:
        return _replace(node, first)
    shapes = (aten.view.default, aten._unsafe_view.default, aten.expand.default)
    if target in shapes and _shape(first) == _shape(node):
        return _replace(node, first)
    if target is aten.permute.default and list(arguments[1]) == list(range(len(_shape(node)))):  # type: ignore[arg-type]
        return _replace(node, first)
    if target is aten.mul.Scalar and arguments[1] == 1 and _value(first).dtype == _value(node).dtype:
        return _replace(node, first)
    if _transposes(node) and _transposes(first):
        inner = first.args[0]
        assert isinstance(inner, fx.Node)
        return _replace(node, inner)
    if target is aten.view.default and first.target is aten.view.default:
        inner = first.args[0]
        assert isinstance(inner, fx.Node)
        with graph.inserting_before(node):
            return _replace(node, _call(graph, aten.view.default, (inner, arguments[1]), node.meta["val"]))
    return False


def _transpose_the_factors(graph: fx.Graph, node: fx.Node) -> bool:
    """(A B)ᵀ = Bᵀ Aᵀ: a weight's gradient comes out in the weight's own layout."""
    product = node.args[0] if node.args else None
    if not (_transposes(node) and isinstance(product, fx.Node) and product.target is aten.bmm.default):
        return False
    if len(product.users) != 1:
        return False
    with graph.inserting_before(node):
        left, right = (
            _call(graph, aten.transpose.int, (factor, 1, 2), _value(factor).transpose(1, 2))  # type: ignore[arg-type]
            for factor in (product.args[1], product.args[0])
        )
        return _replace(node, _call(graph, aten.bmm.default, (left, right), node.meta["val"]))


def _add_within_the_product(graph: fx.Graph, node: fx.Node) -> bool:
    if node.target is not aten.add.Tensor or node.kwargs:
        return False
    for product, other in ((node.args[0], node.args[1]), (node.args[1], node.args[0])):
        if (
            isinstance(product, fx.Node)
            and isinstance(other, fx.Node)
            and product.target is aten.bmm.default
            and len(product.users) == 1
            and _shape(product) == _shape(node)
            and len(_shape(other)) == 3
            and _value(other).dtype == _value(node).dtype
        ):
            with graph.inserting_before(node):
                return _replace(node, _call(graph, aten.baddbmm.default, (other, *product.args), node.meta["val"]))
    return False


def _is_small_softmax(node: fx.Node, dim: object) -> bool:
    shape = _shape(node)
    return (
        len(shape) == 3 and dim in (2, -1) and shape[2] <= SMALL_SOFTMAX and _value(node).device == torch.device("cpu")
    )


def _softmax_over_the_middle(graph: fx.Graph, node: fx.Node) -> bool:
    """Small classes last leave vector registers idle: M×B×C becomes M×C×B, where rows are neighbours."""
    if node.target not in (aten._log_softmax.default, aten._log_softmax_backward_data.default):
        return False
    backward = node.target is aten._log_softmax_backward_data.default
    if not _is_small_softmax(node, node.args[2 if backward else 1]):
        return False
    count = 2 if backward else 1
    with graph.inserting_before(node):
        moved = []
        for argument in node.args[:count]:
            assert isinstance(argument, fx.Node)
            turned = _value(argument).transpose(1, 2)
            swapped = _call(graph, aten.transpose.int, (argument, 1, 2), turned)
            moved.append(_call(graph, aten.contiguous.default, (swapped,), turned.contiguous()))
        arguments = (*moved, 1, *node.args[count + 1 :])
        result = _call(graph, node.target, arguments, _value(node).transpose(1, 2).contiguous())
        return _replace(node, _call(graph, aten.transpose.int, (result, 1, 2), node.meta["val"]))


def _pool_with_channels_last(graph: fx.Graph, node: fx.Node) -> bool:
    """Torch's max pooling of N×C×H×W looks at one pixel at a time; with channels last at a register of them."""
    if node.target is not aten.max_pool2d_with_indices.default:
        return False
    image = node.args[0]
    assert isinstance(image, fx.Node)
    if image.target is aten.clone.default and image.kwargs.get("memory_format") is torch.channels_last:
        return False
    if _value(image).device != torch.device("cpu"):
        return False
    with graph.inserting_before(node):
        last = _call(graph, aten.clone.default, (image,), _value(image))
        last.kwargs = {"memory_format": torch.channels_last}
        node.args = (last, *node.args[1:])
    for user in list(node.users):
        with graph.inserting_after(user):
            plain = _call(graph, aten.contiguous.default, (), user.meta["val"])
        user.replace_all_uses_with(plain)
        plain.args = (user,)
    return True


RULES: tuple[Callable[[fx.Graph, fx.Node], bool], ...] = (
    _drop_what_changes_nothing,
    _transpose_the_factors,
    _add_within_the_product,
    _softmax_over_the_middle,
    _pool_with_channels_last,
)


def _merge_repeated(graph: fx.Graph) -> None:
    seen: dict[str, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op != "call_function" or node.target not in REPEATED:
            continue
        key = f"{node.target} {node.args} {node.kwargs}"
        if key in seen:
            _replace(node, seen[key])
        else:
            seen[key] = node


def _keep_constants(module: fx.GraphModule) -> None:
    """Make scalars once instead of at every step."""
    for number, node in enumerate(list(module.graph.nodes)):
        if node.target is aten.scalar_tensor.default:
            name = f"_constant_{number}"
            module.register_buffer(name, node.target(*node.args, **node.kwargs), persistent=False)
            with module.graph.inserting_before(node):
                constant = module.graph.get_attr(name)
                constant.meta["val"] = node.meta["val"]
            _replace(node, constant)


def _overwrite(node: fx.Node) -> None:
    """Compute in place of an operand that nobody else reads: less memory to touch."""
    source = node.args[0] if node.args else None
    if (
        node.target in IN_PLACE
        and isinstance(source, fx.Node)
        and source.target in FRESH
        and len(source.users) == 1
        and node.args.count(source) == 1
        and _shape(source) == _shape(node)
        and _value(source).dtype == _value(node).dtype
        and _value(source).stride() == _value(node).stride()
    ):
        node.target = IN_PLACE[node.target]


def _drop_unused(graph: fx.Graph) -> None:
    graph.eliminate_dead_code(is_impure_node=_has_effect)


def _has_effect(node: fx.Node) -> bool:
    if node.op in ("placeholder", "output"):
        return True
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)
