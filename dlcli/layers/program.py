"""Recording a module's operations with `torch.export`, so that other formats can be made of them."""

import inspect
import keyword
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

WRAPPED = "module."
"""Stands before the names of a recorded module's parameters and buffers."""


class CannotExportError(Exception):
    """A module cannot be recorded, or not with a batch of any size.

    Args:
        layer: Name of the layer that failed; empty where that is not known.
        module: The layer; None where that is not known.
        cause: Why, in words.
    """

    def __init__(self, layer: str, module: nn.Module | None, cause: str) -> None:
        super().__init__(cause)
        self.layer, self.module, self.cause = layer, module, cause


def export_program(
    module: nn.Module, inputs: Mapping[str, Tensor], steps: Mapping[str, int]
) -> torch.export.ExportedProgram:
    """Record a module; whole operations such as linear and convolution are kept.

    Args:
        module: In eval mode; it takes the inputs by position.
        inputs: Tensors of two rows or more by name; the program's arguments are called like them.
        steps: The dimension of steps of those that have any; it may vary like the rows, where the module allows it.

    Returns:
        The program, for any number of rows.

    Raises:
        CannotExportError: An operation cannot be recorded, or the module does not take any number of rows.
    """
    from torch.export import Dim

    shapes = tuple({0: Dim.DYNAMIC, **({steps[name]: Dim.AUTO} if name in steps else {})} for name in inputs)
    named = _Named(module, tuple(inputs))
    with without_torch_warnings(), torch.no_grad():
        try:
            program = torch.export.export(named, tuple(inputs.values()), dynamic_shapes=shapes, strict=False)
            found: torch.export.ExportedProgram = program.run_decompositions({})
        except Exception as error:  # whatever foreign code, or torch about it, raises
            raise _told(error, named) from error
    return found


@contextmanager
def without_torch_warnings() -> Iterator[None]:
    """Silence what torch's exporters say about themselves, in warnings and logs.

    Yields:
        None: The block runs.
    """
    loggers = [logging.getLogger(name) for name in ("torch._export", "torch.export", "torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            warnings.filterwarnings("ignore", message="The tensor attributes? .*_flat_weights", category=UserWarning)
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\..*|onnxscript\..*|onnx.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def identifier(name: str) -> str:
    """Return a name as an argument of a function may be called."""
    plain = re.sub(r"\W", "_", name)
    return f"field_{plain}" if keyword.iskeyword(plain) or not plain.isidentifier() else plain


class _Named(nn.Module):
    """A module whose arguments are called like fields."""

    def __init__(self, module: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.module = module
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        unique = dict.fromkeys(identifier(name) for name in names)
        arguments = tuple(unique) if len(unique) == len(names) else tuple(f"field_{i}" for i in range(len(names)))

        def forward(*fields: Tensor) -> object:
            return module(*fields)

        forward.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, kind) for name in arguments]
        )
        self.forward = forward
        self.eval()


def _told(error: Exception, named: _Named) -> CannotExportError:
    """Return an error of torch with the layer in whose code it came up."""
    text = str(error).strip()
    if "specialized" in text and "Constraints violated" in text:
        cause = "its code takes one number of rows alone; such as len(x), which fixes it, where x.shape[0] does not"
        return CannotExportError("", None, cause)
    names = {id(module): name for name, module in named.named_modules()}
    layer, found = "", None
    trace = error.__traceback__
    while trace is not None:
        own = trace.tb_frame.f_locals.get("self")
        if isinstance(own, nn.Module) and id(own) in names:
            layer, found = names[id(own)].removeprefix(WRAPPED), own
        trace = trace.tb_next
    first = text.splitlines()[0] if text else ""
    if "DataDependent" in type(error).__name__:
        return CannotExportError(layer, found, "it decides by values of the rows, which only running it can tell")
    return CannotExportError(layer, found, f"{type(error).__name__}: {first}".rstrip(": "))
