"""Finds hidden units that are 0 on every row of a batch."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

FEWEST = 32
"""Values of a unit from which it is judged: of fewer, many are 0 by chance."""
SHARE = 1 / 3
"""Of a layer's units, how many must be dead to be told: behind another relu, up to a quarter are as a rule."""


class DeadUnits:
    """While entered, counts units of every `nn.ReLU` that are 0 on all rows, and of maps and sequences everywhere.

    Args:
        network: The network.
    """

    def __init__(self, network: nn.Module) -> None:
        self._layers = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.ReLU)]
        self._handles: list[RemovableHandle] = []
        self._found: dict[str, tuple[int, int]] = {}

    def __enter__(self) -> Self:
        """Begin to count."""
        self._handles = [module.register_forward_hook(self._hook(name)) for name, module in self._layers]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Count no longer."""
        for handle in self._handles:
            handle.remove()

    def notes(self) -> Iterator[str]:
        """Yield one note for all layers in which many units are dead."""
        found = [(name, dead, units) for name, (dead, units) in self._found.items() if dead >= SHARE * units]
        if found:
            told = ", ".join(f"{dead:,} of {units:,} in {name or 'the network'}" for name, dead, units in found[:3])
            more = f", and in {len(found) - 3} more" if len(found) > 3 else ""
            yield (
                f"relu units that are 0 on every row of the first batch learn nothing: {told}{more}; "
                'standardize the inputs (preprocess = ["standardize"]), set model.init = "auto" or a norm, or take '
                "leaky_relu"
            )

    def _hook(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def count(module: nn.Module, arguments: object, output: Tensor) -> None:
            # Features are the last dimension of rows and sequences, and the channels of maps.
            feature = 1 if output.ndim >= 4 else output.ndim - 1
            if output.ndim < 2 or output.numel() < FEWEST * output.shape[feature]:
                return
            others = [dim for dim in range(output.ndim) if dim != feature]
            dead = int((output.detach().amax(dim=others) <= 0).sum())
            self._found[name] = (dead, output.shape[feature])

        return count
