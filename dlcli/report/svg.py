"""A drawing of lines, marks and text, written as SVG: no fonts, no scripts, nothing to fetch."""

import unicodedata
from collections.abc import Sequence
from xml.sax.saxutils import escape as _escape

FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Arial, sans-serif"
INK = "#333333"
Point = tuple[float, float]


class Drawing:
    """A picture with a white ground, so that it can be read on a dark page, too.

    Coordinates are pixels, y downwards.

    Args:
        width: Its width.
        height: Its height.
        title: What it shows, for those who cannot see it.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width = width
        self.height = height
        self._title = title
        self._parts: list[str] = []

    def line(self, start: Point, end: Point, stroke: str, *, width: float = 1, dash: str = "") -> None:
        """Draw a line; `dash` is a pattern such as `4 3`."""
        pattern = f' stroke-dasharray="{dash}"' if dash else ""
        (x1, y1), (x2, y2) = start, end
        self._parts.append(
            f'<line x1="{_px(x1)}" y1="{_px(y1)}" x2="{_px(x2)}" y2="{_px(y2)}" '
            f'stroke="{stroke}" stroke-width="{width:g}"{pattern}/>'
        )

    def polyline(self, points: Sequence[Point], stroke: str, *, width: float = 1, dash: str = "") -> None:
        """Draw a line through points; `dash` is a pattern such as `4 3`."""
        pattern = f' stroke-dasharray="{dash}"' if dash else ""
        path = " ".join(f"{_px(x)},{_px(y)}" for x, y in points)
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width:g}"{pattern}/>'
        )

    def circle(
        self,
        center: Point,
        radius: float,
        *,
        fill: str = "none",
        stroke: str = "none",
        opacity: float = 1,
        hint: str = "",
    ) -> None:
        """Draw a circle, hollow without `fill`; `hint` is shown where a pointer rests on it."""
        x, y = center
        faint = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
        self._parts.append(
            f'<circle cx="{_px(x)}" cy="{_px(y)}" r="{radius:g}" fill="{fill}" stroke="{stroke}"{faint}>'
            f"{_hint(hint)}</circle>"
        )

    def cross(self, center: Point, radius: float, stroke: str, *, hint: str = "") -> None:
        """Draw a diagonal cross; `hint` is shown where a pointer rests on it."""
        x, y = center
        path = " ".join(
            f"M{_px(x - radius)} {_px(y + sign * radius)}L{_px(x + radius)} {_px(y - sign * radius)}"
            for sign in (1, -1)
        )
        self._parts.append(f'<path d="{path}" stroke="{stroke}" stroke-width="1.5">{_hint(hint)}</path>')

    def frame(self, start: Point, end: Point, stroke: str) -> None:
        """Draw an empty rectangle from its upper left to its lower right corner."""
        (left, top), (right, bottom) = start, end
        self._parts.append(
            f'<rect x="{_px(left)}" y="{_px(top)}" width="{_px(right - left)}" height="{_px(bottom - top)}" '
            f'fill="none" stroke="{stroke}"/>'
        )

    def area(self, start: Point, end: Point, fill: str, *, opacity: float = 1, hint: str = "") -> None:
        """Fill a rectangle from its upper left to its lower right corner; `hint` is shown where a pointer rests."""
        (left, top), (right, bottom) = start, end
        faint = f' fill-opacity="{opacity:.3g}"' if opacity < 1 else ""
        self._parts.append(
            f'<rect x="{_px(left)}" y="{_px(top)}" width="{_px(right - left)}" height="{_px(bottom - top)}" '
            f'fill="{fill}"{faint}>{_hint(hint)}</rect>'
        )

    def box(
        self, start: Point, end: Point, *, fill: str, stroke: str, radius: float = 0, dash: str = "", hint: str = ""
    ) -> None:
        """Draw a filled rectangle with an edge and round corners; `hint` is shown where a pointer rests on it."""
        (left, top), (right, bottom) = start, end
        pattern = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<rect x="{_px(left)}" y="{_px(top)}" width="{_px(right - left)}" height="{_px(bottom - top)}" '
            f'rx="{radius:g}" fill="{fill}" stroke="{stroke}"{pattern}>{_hint(hint)}</rect>'
        )

    def arrow(self, points: Sequence[Point], stroke: str, *, width: float = 1, head: float = 5) -> None:
        """Draw a line through points with a head of some length at its end; its last part is straight."""
        (x1, y1), (x2, y2) = points[-2:]
        long = max(abs(x2 - x1), abs(y2 - y1)) or 1.0
        dx, dy = (x2 - x1) / long * head, (y2 - y1) / long * head
        self.polyline([*points[:-1], (x2 - dx, y2 - dy)], stroke, width=width)
        sides = ((x2 - dx - dy * 0.6, y2 - dy + dx * 0.6), (x2 - dx + dy * 0.6, y2 - dy - dx * 0.6))
        path = " ".join(f"{_px(x)},{_px(y)}" for x, y in ((x2, y2), *sides))
        self._parts.append(f'<polygon points="{path}" fill="{stroke}"/>')

    def text(
        self,
        place: Point,
        content: str,
        *,
        size: float = 12,
        anchor: str = "start",
        fill: str = INK,
        bold: bool = False,
        turn: float = 0,
        most: float | None = None,
        hint: str = "",
    ) -> None:
        """Write a line of text.

        Args:
            place: Where its base line starts, is in the middle or ends, as `anchor` says.
            content: The text.
            size: Size of its letters.
            anchor: `start`, `middle` or `end`.
            fill: Its colour.
            bold: Whether it is bold.
            turn: Degrees by which it is turned clockwise about `place`.
            most: Most pixels it may take, about; its end is cut where it is longer. None: no limit.
            hint: Shown where a pointer rests on it; the whole text where it was cut.
        """
        shown = content if most is None else fitted(content, most, size)
        hint = hint or content
        hint = hint if hint != shown else ""
        x, y = place
        weight = ' font-weight="600"' if bold else ""
        turned = f' transform="rotate({turn:g} {_px(x)} {_px(y)})"' if turn else ""
        self._parts.append(
            f'<text x="{_px(x)}" y="{_px(y)}" font-size="{size:g}" text-anchor="{anchor}" fill="{fill}"'
            f"{weight}{turned}>{_hint(hint)}{escape(shown)}</text>"
        )

    def render(self) -> str:
        """Return the picture as an SVG document."""
        size = f'width="{self.width:g}" height="{self.height:g}" viewBox="0 0 {self.width:g} {self.height:g}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}" role="img">'
        ground = '<rect width="100%" height="100%" fill="#ffffff"/>'
        return "\n".join([head, f"<title>{escape(self._title)}</title>", ground, *self._parts, "</svg>", ""])


def escape(text: str) -> str:
    r"""Return text as XML holds it; line breaks, tabs and characters that XML forbids are escaped, such as `\n`."""
    kept = "".join(letter if _allowed(ord(letter)) else ascii(letter)[1:-1] for letter in text)
    return _escape(kept, {'"': "&quot;"})


def text_width(text: str, size: float) -> float:
    """Return about how many pixels a text takes: fonts differ, so this is on the wide side."""
    return sum(1.0 if unicodedata.east_asian_width(letter) in "WF" else 0.6 for letter in text) * size


def fitted(text: str, most: float, size: float) -> str:
    """Return a text that takes about `most` pixels at most, its end replaced by `…` where it was longer."""
    if text_width(text, size) <= most:
        return text
    while text and text_width(text + "…", size) > most:
        text = text[:-1]
    return text + "…"


def _hint(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""


def _allowed(code: int) -> bool:
    return 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
