"""A few images of a dataset, small enough to be shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcli.contracts.randomness import derive
from dlcli.data.row_blocks import row_bytes

if TYPE_CHECKING:
    import h5py

    from dlcli.data.stored import StoredField

SIDE = 64
"""Most pixels of a side; larger images are shrunk by a whole factor."""
LARGEST_BYTES = 64 * 2**20
"""Images larger than this are not read for a look."""
LOOKED_AT = 64
"""Rows among which one of each class is looked for."""


@dataclass(frozen=True)
class Picture:
    """An image, scaled so that the smallest value of its field is black and the largest white.

    Args:
        where: Its dataset.
        row: Its row there.
        label: Name of its class; empty where it has none.
        width: Pixels across.
        height: Pixels down.
        pixels: Red, green and blue of every pixel, line by line.
    """

    where: str
    row: int
    label: str
    width: int
    height: int
    pixels: bytes

    def as_json(self) -> dict[str, Any]:
        """Return where it lies, as a JSON-ready table; pixels are left out."""
        return {"where": self.where, "row": self.row, "label": self.label}


def pictures_of(
    field: "StoredField", target: "StoredField | None", low: float, high: float, count: int
) -> tuple[Picture, ...]:
    """Return some images: one of each class first, as far as they are found in a few rows.

    Args:
        field: A field of kind image.
        target: What holds one class index a row; None where there is no such field.
        low: The field's smallest value.
        high: The field's largest value.
        count: How many images.

    Returns:
        The images in the order of their classes, else of their rows.
    """
    images = field.first
    part = next(iter(field.datasets))
    labelled = target is not None and target.whole_numbers and target.row_shape == ()
    labels = target.datasets.get(part) if target is not None and labelled else None
    if row_bytes(images) > LARGEST_BYTES or count < 1:
        return ()
    generator = np.random.default_rng(derive(0, "rows to look at"))
    rows = sorted(generator.choice(len(images), min(LOOKED_AT, len(images)), replace=False).tolist())
    classes = [_class(labels, row, len(target.classes) if target else 0) for row in rows]
    first_of: Mapping[int | None, int] = {label: row for label, row in zip(classes[::-1], rows[::-1], strict=True)}
    known = dict(zip(rows, classes, strict=True))
    firsts = [first_of[label] for label in sorted(label for label in first_of if label is not None)]
    chosen = (firsts + [row for row in rows if row not in firsts])[:count]
    chosen.sort(key=lambda row: (known[row] is None, known[row] or 0, row))
    found = []
    for row in chosen:
        pixels = _pixels(np.asarray(images[row]), low, high)
        label = known[row]
        name = target.classes[label] if target is not None and label is not None else ""
        where = str(images.name).strip("/")
        found.append(Picture(where, row, name, pixels.shape[1], pixels.shape[0], pixels.tobytes()))
    return tuple(found)


def _class(labels: "h5py.Dataset | None", row: int, classes: int) -> int | None:
    """Return the class of a row; None where it has none, or none that is named."""
    if labels is None or row >= len(labels):
        return None
    label = int(labels[row])
    return label if 0 <= label < classes else None


def _pixels(image: "np.ndarray[Any, Any]", low: float, high: float) -> "np.ndarray[Any, Any]":
    """Return an image (H, W) or (H, W, C) as bytes (h, w, 3); channels beyond the third are not shown."""
    values = image[:, :, None] if image.ndim == 2 else image
    values = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
    factor = -(-max(values.shape[:2]) // SIDE)
    if factor > 1:
        values = _shrunk(values, factor)
    grey = values.shape[2] < 3
    values = np.repeat(values[:, :, :1], 3, axis=2) if grey else values[:, :, :3]
    scaled = (values / 2 - low / 2) / ((high / 2 - low / 2) or 1)
    return (np.clip(scaled, 0, 1) * 255).round().astype(np.uint8)


def _shrunk(values: "np.ndarray[Any, Any]", factor: int) -> "np.ndarray[Any, Any]":
    """Return the means of squares of pixels; what is left at the edges is a square of its own."""
    for axis in (0, 1):
        starts = np.arange(0, values.shape[axis], factor)
        lengths = np.diff([*starts, values.shape[axis]])
        sums = np.add.reduceat(values, starts, axis=axis)
        values = sums / lengths.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    return values
