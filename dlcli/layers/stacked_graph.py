"""Modules of one structure as one module that computes all of them by batched operations, for export."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from dlcli.layers.members import Members, of_each
from dlcli.layers.program import WRAPPED, export_program
from dlcli.layers.stacked_operations import apply


class StackedGraph(nn.Module):
    """The outputs of several modules that differ in their tensors alone.

    The first module's operations are recorded once; each is then carried out for all members together. Tensors that all
    share, such as preprocessing that saw the same rows, stay single, and so does what is computed from them.

    Args:
        modules: The modules, two or more, in eval mode; each takes tensors and returns one.
        inputs: Tensors that they take by name, of two rows or more.
        steps: The dimension of steps of those that have any; it may vary like the rows, where the modules allow it.

    Raises:
        CannotExportError: A module cannot be recorded.

    Shape:
        What a module takes, shared by all; out come (M, *shape of a module's output).
    """

    def __init__(self, modules: Sequence[nn.Module], inputs: Mapping[str, Tensor], steps: Mapping[str, int]) -> None:
        super().__init__()
        program = export_program(modules[0], inputs, steps)
        self._graph = program.graph
        signature = program.graph_signature
        prefix = len(WRAPPED)
        states = [{**module.state_dict(keep_vars=True), **dict(module.named_buffers())} for module in modules]
        self._count = len(modules)
        self._places: dict[str, tuple[str, bool]] = {}
        lifted = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        lifted |= signature.inputs_to_lifted_tensor_constants
        for index, (placeholder, name) in enumerate(lifted.items()):
            own = [state[name[prefix:]].detach() for state in states if name[prefix:] in state]
            if not own:  # a constant of the code, which modules of one structure share
                own = [program.constants[name].detach()] * len(states)
            shared = all(torch.equal(own[0], other) for other in own[1:])
            self.register_buffer(f"tensor_{index}", own[0].clone() if shared else torch.stack(own))
            self._places[placeholder] = f"tensor_{index}", shared

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the outputs of all modules."""
        given = iter(inputs)
        values: dict[fx.Node, Any] = {}

        def value_of(argument: Any) -> Any:
            return fx.map_arg(argument, values.__getitem__)

        for node in self._graph.nodes:
            if node.op == "placeholder":
                values[node] = self._own(node.name) if node.name in self._places else next(given)
            elif node.op == "call_function" and node.target is not torch.ops.aten._assert_tensor_metadata.default:
                values[node] = apply(node.target, value_of(node.args), value_of(node.kwargs))
            elif node.op == "output":
                (found,) = value_of(node.args)[0]
                return of_each(found, self._count)
        raise AssertionError("a graph ends with its output")

    def _own(self, placeholder: str) -> Tensor | Members:
        name, shared = self._places[placeholder]
        tensor = self.get_buffer(name)
        return tensor if shared else Members(tensor)
