"""Images as half blocks and as PNG."""

import io
import re

import numpy as np
from PIL import Image
from rich.console import Console

from dlcli.data.pictures import Picture
from dlcli.report.thumbnails import Thumbnails, png_of

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
PICTURE = Picture("x", 3, "[a]\x1b", 7, 5, PIXELS.tobytes())


def drawn(pictures: list[Picture], width: int = 80, **colours: object) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=True, **colours).print(Thumbnails(pictures))
    return file.getvalue().splitlines()


def test_a_png_is_read_back_by_another_program() -> None:
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png_of(PICTURE)))), PIXELS)


def test_half_blocks_have_the_colours_of_two_pixels() -> None:
    lines = drawn([PICTURE], color_system="truecolor")
    assert len(lines) == 1 + 3 + 1
    cells = [re.findall(r"38;2;(\d+);(\d+);(\d+)(?:;48;2;(\d+);(\d+);(\d+))?m▀", line) for line in lines[1:4]]
    found = np.array([[[int(part or 0) for part in cell] for cell in line] for line in cells])
    np.testing.assert_array_equal(found[:, :, :3], PIXELS[::2])
    np.testing.assert_array_equal(found[:2, :, 3:], PIXELS[1::2])
    assert lines[-1].rstrip() == r"[a]\x1b"


def test_images_are_shrunk_and_folded() -> None:
    flat = Picture("x", 0, "", 48, 48, bytes([10]) * 48 * 48 * 3)
    lines = drawn([flat] * 3, width=60, color_system="truecolor")
    assert len(lines) == 1 + 2 * 13
    assert lines[1].count("▀") == 48
    assert lines[-2].count("▀") == 24
    assert set(re.findall(r"38;2;(\d+)", lines[1])) == {"10"}
    assert lines[-1].rstrip() == "row 0"


def test_nothing_without_colours() -> None:
    assert drawn([PICTURE], color_system=None) == []
    assert drawn([PICTURE], color_system="truecolor", no_color=True) == []
