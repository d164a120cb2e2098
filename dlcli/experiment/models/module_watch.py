"""Notices at little cost whether a module has changed since it was last looked at."""

from collections.abc import Mapping, Sequence
from operator import attrgetter, getitem, is_, itemgetter
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as torch_module


class ModuleWatch:
    """What the outputs of a module's parts depend on, to be compared from call to call.

    Seen are parameters, buffers and modules that are exchanged, moved, or changed in place (by torch's version counters
    and by addresses), modules in training mode, and hooks. Not seen are other attributes of modules, and values that
    are changed without torch's counting it: in place through `.data`, or by a NumPy array that shares them.

    Args:
        module: The module. Its own mode and hooks are left to the caller, and it is not kept alive.

    Attributes:
        tensors: All parameters and buffers.
    """

    def __init__(self, module: nn.Module) -> None:
        self._root = module._modules
        inner = tuple(module.modules())[1:]
        # As columns, so that going through them stays within the interpreter's own loops.
        places = [(t, name, t[name]) for m in (module, *inner) for t in _tables(m) for name in t]
        self._tables: Sequence[Mapping[str, Any]] = [table for table, _, _ in places]
        self._names = [name for _, name, _ in places]
        self._objects = [found for _, _, found in places]
        self._attributes: list[dict[str, Any]] = [vars(m) for m in inner]
        self._hooks: list[Mapping[int, Any]] = [
            *(hooks for m in inner for hooks in (m._forward_hooks, m._forward_pre_hooks)),
            torch_module._global_forward_hooks,
            torch_module._global_forward_pre_hooks,
        ]
        self.tensors = [found for found in self._objects if isinstance(found, Tensor)]

    @property
    def countable(self) -> bool:
        """Whether changes of all tensors are counted: they are torch's own, and not made in inference mode."""
        return all(type(t) in (Tensor, nn.Parameter) and not t.is_inference() for t in self.tensors)

    def disturbed(self) -> bool:
        """Return whether more runs than the code of modules in eval mode."""
        return any(map(itemgetter("training"), self._attributes)) or any(self._hooks)

    def watches(self, module: nn.Module) -> bool:
        """Return whether this is the module, and not a replica of it."""
        return module._modules is self._root

    def same_objects(self) -> bool:
        """Return whether all modules, parameters and buffers are the objects that they were at first."""
        try:
            return all(map(is_, map(getitem, self._tables, self._names), self._objects))
        except KeyError:
            return False


def values_of(tensors: Sequence[Tensor]) -> list[int]:
    """Tell states of tensors apart without reading them.

    Args:
        tensors: Tensors whose changes torch counts.

    Returns:
        Numbers that change with the values of the tensors, and with the memory in which they lie.
    """
    return [*map(attrgetter("_version"), tensors), *map(Tensor.data_ptr, tensors)]


def _tables(module: nn.Module) -> tuple[Mapping[str, Any], ...]:
    return module._modules, module._parameters, module._buffers
