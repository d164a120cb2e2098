"""Watches the convolutions and poolings of any network: whether their windows fit what they get."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AvgPoolNd, _MaxPoolNd
from torch.utils.hooks import RemovableHandle

from dlcli.layers.convolution_arithmetic import Window, arithmetic, output_size, what_fits

AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
"""What the axes of a window are called, by their number."""


@dataclass(frozen=True)
class Slide:
    """A window that slides along one axis, or along several that are alike.

    Args:
        where: Name of the layer.
        what: What it reads, such as `height` or `height and width`.
        size: N, its pixels.
        window: The window.
        ceil: Whether a window may reach over the end, as poolings allow, so that none is dropped.
        largest_padding: The largest padding that torch allows; None for any.
    """

    where: str
    what: str
    size: int
    window: Window
    ceil: bool = False
    largest_padding: int | None = None

    @property
    def dropped(self) -> int:
        """Pixels at the end, those of the padding first, that no window reaches."""
        return 0 if self.ceil else (self.size + 2 * self.window.padding - self.window.span) % self.window.stride

    def told(self) -> str:
        """Return what is dropped at the end, and what would fit."""
        lost = max(0, self.dropped - self.window.padding)
        what = f"the last {'pixel' if lost == 1 else f'{lost} pixels'}" if lost else "some of the padding"
        fits = what_fits(self.size, self.window, self.largest_padding)
        text = arithmetic(self.where, self.what, self.size, self.window)
        return f"{text}: torch takes the whole number below and does not read {what}; {fits}"


class WindowWatch:
    """While entered, checks every call of torch's convolutions and poolings in a network, whoever wrote it.

    Transposed convolutions and poolings to a given size fit whatever they get.

    Args:
        network: The network.
        name: What stands before names of layers, such as the architecture's.

    Attributes:
        slides: Every window that slid, in order; axes with the same numbers together.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        self._layers: dict[nn.Module, str] = {
            module: f"{name}: {path or type(module).__name__}"
            for path, module in network.named_modules()
            if isinstance(module, _ConvNd | _MaxPoolNd | _AvgPoolNd) and not getattr(module, "transposed", False)
        }
        self._handles: list[RemovableHandle] = []
        self.slides: list[Slide] = []

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._handles = [module.register_forward_pre_hook(self._check) for module in self._layers]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Watch no longer."""
        for handle in self._handles:
            handle.remove()

    def _check(self, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        """Refuse a window that fits nowhere, before torch does in words of its own."""
        if not arguments or not isinstance(arguments[0], Tensor):
            return
        axes = _axes(module)
        sizes = arguments[0].shape[-axes:]
        seen: dict[tuple[int, Window], list[str]] = {}
        for what, size, window in zip(AXES[axes], sizes, _windows(module, axes), strict=True):
            most = _largest_padding(module, window)
            output_size(self._layers[module], what, size, window, floor=True, largest_padding=most)
            seen.setdefault((size, window), []).append(what)
        ceil = bool(getattr(module, "ceil_mode", False))
        for (size, window), names in seen.items():
            most = _largest_padding(module, window)
            self.slides.append(Slide(self._layers[module], " and ".join(names), size, window, ceil, most))


def not_whole(slides: Iterable[Slide]) -> str | None:
    """Say which windows do not fit a whole number of times, so that torch drops pixels at the end; None where all do.

    Args:
        slides: Every window.

    Returns:
        One sentence: the first in full, the layers of the others by name.
    """
    found = [slide for slide in slides if slide.dropped]
    if not found:
        return None
    others = list(dict.fromkeys(slide.where.partition(": ")[2] for slide in found if slide.where != found[0].where))
    return found[0].told() + (f"; likewise {', '.join(others)}" if others else "")


def _axes(module: nn.Module) -> int:
    """Return along how many axes a layer slides; subclasses have names of their own."""
    found = [base.__name__ for base in type(module).__mro__ if base.__module__.startswith("torch.nn.")]
    return int(found[0][-2])


def _largest_padding(module: nn.Module, window: Window) -> int | None:
    """Return the largest padding that torch allows: half a pooling's window, any of a convolution."""
    return None if isinstance(module, _ConvNd) else window.span // 2


def _windows(module: nn.Module, axes: int) -> list[Window]:
    """Return the window along each axis."""
    kernel, stride, dilation = (_each(getattr(module, name, 1), axes) for name in ("kernel_size", "stride", "dilation"))
    padding = getattr(module, "padding", 0)
    if padding == "same":  # torch pads unequally where it must, at stride 1 alone: it always fits
        return [Window(1)] * axes
    return [
        Window(*numbers)
        for numbers in zip(kernel, stride, _each(0 if padding == "valid" else padding, axes), dilation, strict=True)
    ]


def _each(value: int | tuple[int, ...], axes: int) -> list[int]:
    return list(value) if isinstance(value, tuple) else [value] * axes
