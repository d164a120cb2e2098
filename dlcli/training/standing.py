"""A pass over a captured graph: what standing tensors alone decide is computed once, not at every run."""

from collections.abc import Sequence

import torch
from torch import Tensor, fx


class Standing:
    """Takes operations on standing tensors out of a graph, whose run then gets their results instead of the tensors.

    Args:
        varying: How many of the graph's arguments, the first ones, vary from run to run; the rest stand.
    """

    def __init__(self, varying: int) -> None:
        self._varying = varying
        self._arguments: list[fx.Node] = []
        self._steps: list[fx.Node] = []
        self._results: list[fx.Node] = []

    def __call__(self, module: fx.GraphModule) -> None:
        """Rewrite a graph in place.

        Args:
            module: A graph of aten operations.
        """
        graph = fx.Graph()
        graph.set_codegen(fx.graph.CodeGen())
        old = list(module.graph.nodes)
        places = [node for node in old if node.op == "placeholder"]
        self._arguments = places[self._varying :]
        standing = set(self._arguments)
        for node in old:
            if node.all_input_nodes and standing.issuperset(node.all_input_nodes) and _may_stand(node):
                standing.add(node)
                self._steps.append(node)
        self._results = [node for node in old if node in standing and not standing.issuperset(node.users)]
        moved = {node: graph.placeholder(f"argument_{i}") for i, node in enumerate(places[: self._varying])}
        moved |= {node: graph.placeholder(f"standing_{i}") for i, node in enumerate(self._results)}
        for node in old:
            if node not in standing and node not in moved:
                moved[node] = graph.node_copy(node, moved.__getitem__)
        graph.lint()
        module.graph = graph

    @property
    def used(self) -> list[bool]:
        """For each standing tensor whether anything is computed from it."""
        return [bool(node.users) for node in self._arguments]

    def compute(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Compute what the graph's run gets in the place of standing tensors.

        Args:
            tensors: The standing tensors.

        Returns:
            Its further arguments.
        """
        found: dict[fx.Node, Tensor] = dict(zip(self._arguments, tensors, strict=True))
        with torch.no_grad():
            for node in self._steps:
                arguments = fx.node.map_arg((node.args, node.kwargs), found.__getitem__)
                found[node] = node.target(*arguments[0], **arguments[1])  # type: ignore[operator]
        return [found[node] for node in self._results]


def _may_stand(node: fx.Node) -> bool:
    """Return whether a node's result is the same every time, and nobody overwrites it."""
    target = node.target
    return (
        isinstance(target, torch._ops.OpOverload)
        and torch.Tag.nondeterministic_seeded not in target.tags
        and isinstance(node.meta.get("val"), Tensor)
        and not any(_overwrites(other) for other in (node, *node.users))
    )


def _overwrites(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)
