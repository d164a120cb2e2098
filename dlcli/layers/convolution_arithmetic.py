"""How large what a convolution or pooling leaves is, and what to change where that is no whole positive number."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Window:
    """A window that slides along one axis of an image.

    Args:
        kernel: F, its size in pixels.
        stride: S, pixels from one place to the next.
        padding: P, pixels of zeros that are added at each end.
        dilation: Pixels from one value of the window to the next; the window spans dilation · (F − 1) + 1.
    """

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    @property
    def span(self) -> int:
        """How many pixels it spans."""
        return self.dilation * (self.kernel - 1) + 1

    def places(self, size: int) -> Fraction:
        """Return N' = (N − F + 2P) / S + 1, which is where it fits if that is whole and positive.

        Args:
            size: N, the axis's pixels.

        Returns:
            N'.
        """
        return Fraction(size - self.span + 2 * self.padding, self.stride) + 1


def output_size(
    where: str, what: str, size: int, window: Window, *, floor: bool = False, largest_padding: int | None = None
) -> int:
    """Return how many places a window has along an axis.

    Args:
        where: Name of the layer, for errors.
        what: What is read, such as `height`.
        size: N, its pixels.
        window: The window.
        floor: Whether pixels at the end that no window reaches may be dropped, as torch does.
        largest_padding: The largest padding that it could have, as `what_fits` says.

    Returns:
        N' ≥ 1.

    Raises:
        ValueError: N' is not positive, or not whole where it must be; names layer, numbers and what would fit.
    """
    places = window.places(size)
    if places >= 1 and (floor or places.denominator == 1):
        return int(places)
    told = arithmetic(where, what, size, window)
    fits = what_fits(size, window, largest_padding)
    if places < 1:
        raise ValueError(f"{told}: the window is larger than what is left there; {fits}")
    raise ValueError(f"{told}: pixels at the end would be dropped; {fits}, or floor = true to drop them")


def arithmetic(where: str, what: str, size: int, window: Window) -> str:
    """Return, in words, how many places a window has, with all numbers that decide it.

    Args:
        where: Name of the layer.
        what: What is read, such as `height`.
        size: N, its pixels.
        window: The window.

    Returns:
        A clause, such as `stem: N' = (N − F + 2P) / S + 1 = …`.
    """
    kernel = f"{window.kernel}" + (f" (spans {window.span} with dilation {window.dilation})" * (window.dilation > 1))
    return (
        f"{where}: N' = (N − F + 2P) / S + 1 = ({size} − {window.span} + 2·{window.padding}) / {window.stride} + 1 = "
        f"{float(window.places(size)):g} for {what} {size}, kernel_size {kernel}, padding {window.padding}, "
        f"stride {window.stride}"
    )


def what_fits(size: int, window: Window, largest_padding: int | None = None) -> str:
    """Return, in words, the paddings and strides with which a window fits as often as a whole positive number says.

    Args:
        size: N, the axis's pixels.
        window: The window that does not fit.
        largest_padding: The largest padding that it could have, in pixels; None for one less than the window spans.

    Returns:
        A clause, such as `padding 1 or 3, or stride 1 would fit`.
    """
    found = []
    for name in ("padding", "stride"):
        paddings = range(window.span if largest_padding is None else largest_padding + 1)
        values = paddings if name == "padding" else range(1, max(window.span, window.stride) + 1)
        fitting = [v for v in values if _fits(size, Window(**{**vars(window), name: v}))]
        if fitting:
            found.append(f"{name} {_or(fitting[:4])}")
    if not found:
        most = size + 2 * window.padding
        return f"a kernel_size up to {most} would fit" if window.span > most else "another kernel_size is needed"
    return f"{', or '.join(found)} would fit"


def _fits(size: int, window: Window) -> bool:
    places = window.places(size)
    return places >= 1 and places.denominator == 1


def _or(values: list[int]) -> str:
    texts = [str(value) for value in values]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"
