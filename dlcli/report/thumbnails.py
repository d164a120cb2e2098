"""Small images: in half blocks on a terminal that has colours, as PNG in a page."""

import base64
import struct
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from dlcli.report.layout import as_it_is

if TYPE_CHECKING:
    from dlcli.data.pictures import Picture

SIDE = 24
"""Most characters across, and half lines down, of an image."""
GAP = 2
"""Blanks between two images."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY_LEVELS_AND_COLOURS = (8, 2, 0, 0, 0)
"""Eight bits, red, green and blue, neither filter methods of its own nor interlaced."""


class Thumbnails:
    """Images side by side, each over its label, below an empty line; nothing where a terminal has no colours.

    Args:
        pictures: The images.
    """

    def __init__(self, pictures: "Sequence[Picture]") -> None:
        self._pictures = [_shrunk(picture) for picture in pictures]
        self._labels = [picture.label or f"row {picture.row}" for picture in pictures]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw as many rows of images as they need."""
        if console.color_system is None or console.no_color or not self._pictures:
            return
        yield Segment.line()
        width = max(max(len(lines[0]) for lines in self._pictures), 6) + GAP
        across = max(1, (options.max_width + GAP) // width)
        for first in range(0, len(self._pictures), across):
            row = self._pictures[first : first + across]
            for line in range(0, max(map(len, row)), 2):
                for lines in row:
                    yield from _half_blocks(lines[line : line + 2])
                    yield Segment(" " * (width - (len(lines[0]) if line < len(lines) else 0)))
                yield Segment.line()
            names = Text(no_wrap=True)
            for label in self._labels[first : first + across]:
                name = as_it_is(label)
                name.truncate(width - GAP, overflow="ellipsis")
                name.pad_right(width - name.cell_len)
                names.append_text(name)
            yield names


def png_of(picture: "Picture") -> bytes:
    """Return an image as a PNG file."""
    stride = picture.width * 3
    lines = (picture.pixels[start : start + stride] for start in range(0, len(picture.pixels), stride))
    header = struct.pack(">2I5B", picture.width, picture.height, *_GREY_LEVELS_AND_COLOURS)
    body = zlib.compress(b"".join(b"\0" + line for line in lines), 9)  # 0: the line is not filtered
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, content) for name, content in chunks)


def data_address(picture: "Picture") -> str:
    """Return an image as an address that holds all of it."""
    return f"data:image/png;base64,{base64.b64encode(png_of(picture)).decode()}"


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


_Line = list[tuple[int, int, int]]


def _shrunk(picture: "Picture") -> list[_Line]:
    """Return the colours of an image line by line, means of squares where it is larger than `SIDE`."""
    factor = -(-max(picture.width, picture.height) // SIDE)
    lines = []
    for top in range(0, picture.height, factor):
        line = []
        for left in range(0, picture.width, factor):
            places = [
                (y * picture.width + x) * 3
                for y in range(top, min(top + factor, picture.height))
                for x in range(left, min(left + factor, picture.width))
            ]
            red, green, blue = (
                sum(picture.pixels[place + colour] for place in places) // len(places) for colour in range(3)
            )
            line.append((red, green, blue))
        lines.append(line)
    return lines


def _half_blocks(lines: list[_Line]) -> list[Segment]:
    """Return two lines of pixels as one of characters: the upper in front, the lower behind."""
    if not lines:
        return []
    under = lines[1] if len(lines) > 1 else [None] * len(lines[0])
    return [
        Segment("▀", Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower) if lower else None))
        for upper, lower in zip(lines[0], under, strict=True)
    ]
