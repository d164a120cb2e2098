"""The compiled forward and backward pass of a network, by torch.compile; refused with words where it cannot be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dlcli.errors import TrainingError, UsageError
from dlcli.layers.dropout import BitSource, Randomized, random_bits

MOST = 8
"""How often one network may be compiled."""
UNLIMITED: dict[str, Any] = {"recompile_limit": 2**20, "accumulated_recompile_limit": 2**20}


def check_compiler(device: torch.device) -> None:
    """Refuse to compile where there is nothing to compile with.

    Args:
        device: Where to train.

    Raises:
        UsageError: A CPU needs a C++ compiler, a GPU needs triton; says what to install.
    """
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        if not has_triton():
            raise UsageError(
                "train.compile = true needs triton for this GPU, which is not there: pip install triton, or set "
                "train.compile = false"
            )
        return
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except (InvalidCxxCompiler, RuntimeError, OSError):
        raise UsageError(
            "train.compile = true needs a C++ compiler, and none was found: install g++ (Debian, Ubuntu: apt install "
            "g++; macOS: xcode-select --install) or name one in the environment variable CXX, or set train.compile = "
            "false"
        ) from None


@contextmanager
def compiling() -> Iterator[None]:
    """Say what is wrong where a network cannot be compiled as a whole.

    Yields:
        None: The block runs a `Compiled` forward, and backward.

    Raises:
        TrainingError: It cannot: nothing goes on uncompiled in silence.
    """
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import InductorError

    try:
        yield
    except (TorchDynamoException, InductorError) as error:
        # Of a failed backend the message begins with its name alone.
        told = str(getattr(error, "inner_exception", error)).splitlines()
        line = next((line.strip() for line in told if line.strip()), type(error).__name__)
        raise TrainingError(
            f"train.compile = true, but torch cannot compile the network as a whole: {line}; set train.compile = false"
        ) from error


class Compiled:
    """The forward pass of a network, compiled as a whole at its first call; the network itself is left as it is.

    Random bits come from a stream of the member's own, which a compiler knows nothing of: they are drawn before each
    call, as many and in the order in which a first pass, uncompiled, asked for them.

    Args:
        network: In training mode; every batch has the same shapes.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._given: list[tuple[Randomized, torch.Size, _Given]] | None = None
        self._count = 0
        # Not dynamic: what is compiled is to depend on this network alone, not on the widths of those before it.
        self._inner: Callable[..., Tensor] = torch.compile(network, fullgraph=True, dynamic=False)

    def __call__(self, *arguments: Tensor, **extra: object) -> Tensor:
        """Return the network's outputs.

        Args:
            *arguments: As the network takes them.
            **extra: Likewise.

        Returns:
            What the network returns.

        Raises:
            TrainingError: The network changes what it does, and is compiled again and again.
        """
        from torch._dynamo.utils import counters

        if self._given is None:
            self._given = self._rehearse(*arguments, **extra)
        before = counters["stats"]["unique_graphs"]
        # torch's own limits count all networks of the same code together, and end in uncompiled code.
        with self._bits(arguments[0].device), torch._dynamo.config.patch(UNLIMITED):
            output = self._inner(*arguments, **extra)
        self._count += counters["stats"]["unique_graphs"] - before
        if self._count > MOST:
            raise TrainingError(
                f"train.compile = true, but the network was compiled {self._count} times, since it does something else "
                "every few batches; set train.compile = false"
            )
        return output

    def _rehearse(self, *arguments: Tensor, **extra: object) -> list[tuple[Randomized, torch.Size, "_Given"]]:
        """Find out which bits a forward pass asks for, and leave no trace of it."""
        asked: list[tuple[Randomized, torch.Size, _Given]] = []
        modules = [m for m in self._network.modules() if isinstance(m, Randomized) and m.active]
        given = {module: _Given() for module in modules}
        before = [(module, module.source) for module in modules]
        buffers = [(buffer, buffer.clone()) for buffer in self._network.buffers()]

        def recorder(module: Randomized) -> BitSource:
            def record(shape: torch.Size, device: torch.device) -> Tensor:
                asked.append((module, shape, given[module]))
                return torch.zeros(shape, dtype=torch.int16, device=device)

            return record

        device = arguments[0].device
        try:
            for module in modules:
                module.source = recorder(module)
            with torch.no_grad(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                self._network(*arguments, **extra)
                for buffer, value in buffers:
                    buffer.copy_(value)
        finally:
            for module, source in before:
                module.source = source
        return asked

    @contextmanager
    def _bits(self, device: torch.device) -> Iterator[None]:
        """Draw all bits of a forward pass, and give them to the modules that ask for them."""
        assert self._given is not None
        sources = {module: module.source for module, _, _ in self._given}
        for _, _, given in self._given:
            given.tensors, given.place = [], 0
        for module, shape, given in self._given:
            given.tensors.append((sources[module] or random_bits)(shape, device))
        try:
            for module, _, given in self._given:
                module.source = given
            yield
        finally:
            for module, source in sources.items():
                module.source = source


class _Given:
    """Bits that were drawn for a module, one tensor a call; a `BitSource` that can be compiled."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.place = 0

    def __call__(self, shape: torch.Size, device: torch.device) -> Tensor:
        self.place += 1
        return self.tensors[self.place - 1]
