"""The compiled forward and backward pass of a network, by torch.compile; refused with words where it cannot be."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dlcli.errors import TrainingError, UsageError
from dlcli.layers.dropout import Randomized


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


def compiled(network: nn.Module) -> Callable[..., Tensor]:
    """Return the forward pass of a network, compiled at its first call; the network itself is left as it is.

    Args:
        network: In training mode.

    Returns:
        What is called as the network is. It raises `TrainingError` where the network cannot be compiled, or would be
        compiled again and again: nothing goes on uncompiled in silence.
    """
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
    from torch._inductor.exc import InductorError

    uncompiled: Any = torch.compiler.disable
    for module in network.modules():
        if isinstance(module, Randomized):
            # Random bits come from a stream of the member's own, which the compiler knows nothing of.
            module.bits = uncompiled(module.bits)  # type: ignore[method-assign]
    # What was compiled of other networks of the same code counts against a limit.
    torch._dynamo.reset()
    inner: Callable[..., Tensor] = torch.compile(network)

    def run(*arguments: Tensor, **extra: object) -> Tensor:
        try:
            with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
                return inner(*arguments, **extra)
        except FailOnRecompileLimitHit as error:
            raise TrainingError(
                "train.compile = true, but the network would have to be compiled anew for every few batches, since "
                f"what it does changes with them: {_first_line(error)}; set train.compile = false"
            ) from error
        except (TorchDynamoException, InductorError) as error:
            told = f"train.compile = true, but torch cannot compile the network: {_first_line(error)}"
            raise TrainingError(f"{told}; set train.compile = false") from error

    return run


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
