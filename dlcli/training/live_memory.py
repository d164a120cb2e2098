"""How much memory tensors take at every moment of a step, whatever device they are on."""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def storage_of(tensor: Tensor) -> torch.UntypedStorage | None:
    """Return what holds a tensor's numbers; None of sparse and nested ones, which hold several tensors."""
    return tensor.untyped_storage() if tensor.layout is torch.strided else None


class LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While entered, notes after every operation how many bytes live tensors take.

    Storages are counted once, as long as they live. What an operation needs inside itself is not seen.

    Args:
        known: Tensors that are there anyway, such as parameters; not counted.
        begun: Tensors that are there at first and may go, such as gradients; counted from the start.

    Attributes:
        moments: Bytes after each operation, the first before any.
    """

    def __init__(self, known: Iterable[Tensor], begun: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Kept, so that no other storage takes the place of one of them.
        self._kept = [storage for tensor in known if (storage := storage_of(tensor)) is not None]
        self._known = {storage._cdata for storage in self._kept}
        self._living: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self._bytes = 0
        for tensor in begun:
            self._add(tensor)
        self.moments = [self._bytes]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and look at what it made."""
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self._add(leaf)
        self.moments.append(self._bytes)
        return made

    def _add(self, tensor: Tensor) -> None:
        storage = storage_of(tensor)
        if storage is None:
            return
        key, size = storage._cdata, storage.nbytes()
        if key in self._known or key in self._living:
            return

        def gone(_: object) -> None:
            del self._living[key]
            self._bytes -= size

        self._living[key] = weakref.ref(storage, gone)
        self._bytes += size
