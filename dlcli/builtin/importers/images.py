import importlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from dlcli import DataError, Importer, PluginError, SourceField, UsageError
from dlcli.builtin.importers.delimited import open_delimited, path_opener
from dlcli.builtin.importers.members import members_of

_SPLITS = ("train", "val", "test")
_CHANNELS = {"L": 1, "RGB": 3}
_BLOCK_BYTES = 16 * 2**20
_GREYS = ("1", "L", "LA")
_COLOURS = ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr")
_ORIENTATION = 274
"""Number of the EXIF tag that says how an image is turned."""
Size = Annotated[int, Field(ge=1, le=65_535)]
Opener = Callable[[], IO[bytes]]


class Images(Importer):
    """Reads a folder or zip of images, a folder a class, or a CSV of paths and classes; needs the extra `images`.

    Images become `x` (N×H×W, or N×H×W×3, uint8), turned as their EXIF orientation says; 16 bits are scaled to 8.
    Classes are the names of their folders, which lie side by side; folders `train`, `val` and `test` around them are
    splits. In a CSV, the first column is a path beside it and the last the class. Images of different sizes are an
    error unless `size` says what they are resized to.

    Args:
        size: Height and width to resize to; None: as they are.
        mode: Colours; None: as in the first image.
        header: Of a CSV: whether its first line names the columns.
    """

    name: ClassVar[str] = "images"
    suffixes: ClassVar[tuple[str, ...]] = ()
    contents: ClassVar[tuple[str, ...]] = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")

    size: tuple[Size, Size] | None = Field(default=None, description="Height and width to resize to; None: as they are")
    mode: Literal["grey", "rgb"] | None = Field(default=None, description="Colours; None: as in the first image")
    header: bool | None = Field(default=None, description="Of a CSV: whether its first line names the columns")

    labelled: ClassVar[bool] = True

    def settled(self, source: Path) -> "Images":
        """Return the importer with the colours that were found, since the first of other images may have others."""
        mode, _ = self._form(source, self._entries(source)[0])
        return self.model_copy(update={"mode": "grey" if mode == "L" else "rgb"})

    def without_roles(self) -> "Images":
        """Return the importer for new images, whose class nobody knows: any folder of images, or a single one."""
        return NewImages.model_construct(**vars(self))

    def fields(self, source: Path) -> tuple[SourceField, ...]:
        """Return `x` and `y`; of most images only the headers are read.

        Args:
            source: A folder, a zip archive or a CSV file.

        Returns:
            The fields.

        Raises:
            DataError: There are no images, one cannot be read or does not fit into 8 bits, they differ in size, or
                folders of classes do not lie side by side.
        """
        entries = self._entries(source)
        mode, size = self._form(source, entries[0])
        lost: dict[str, list[str]] = {}
        for name, opener, _, _ in entries:
            with _decoded(f"{source}: {name}", opener) as image:
                for what in _losses(image, mode if self.mode is None else None):
                    lost.setdefault(what, []).append(name)
                if self.size is None and (found := _size(image)) != size:
                    raise DataError(
                        f"{source}: {name} is {found[0]}×{found[1]}, but the first is {size[0]}×{size[1]}; "
                        f"resize all with --set size='[{size[0]}, {size[1]}]'"
                    )
        shape = (*size, *([3] if mode == "RGB" else []))
        told = (f"{what} in {len(names)} of {len(entries)} images, first {names[0]}" for what, names in lost.items())
        x = SourceField("x", "x", shape, "uint8", len(entries), "image", role="input", note="; ".join(told))
        if not self.labelled:
            return (x,)
        classes = tuple(sorted({label for _, _, label, _ in entries}))
        dtype = np.min_scalar_type(len(classes)).name
        return x, SourceField("y", "y", (), dtype, len(entries), "categorical", classes, role="target")

    def chunks(self, source: Path, fields: Sequence[SourceField], rows: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Return images in natural order of their paths, some at a time.

        Args:
            source: A folder, a zip archive or a CSV file.
            fields: Those to read.
            rows: How many at a time; fewer where images are large.

        Yields:
            Mapping[str, np.ndarray]: One array a field and time.

        Raises:
            DataError: An image does not decode.
        """
        entries = self._entries(source)
        by_name = {field.name: field for field in fields}
        mode, size = self._form(source, entries[0])
        step = min(rows, max(1, _BLOCK_BYTES // (size[0] * size[1] * _CHANNELS[mode]))) if "x" in by_name else rows
        for start in range(0, len(entries), step):
            part = entries[start : start + step]
            found = {}
            if "x" in by_name:
                found["x"] = np.stack([_pixels(f"{source}: {name}", opener, mode, size) for name, opener, _, _ in part])
            if "y" in by_name:
                codes = {name: code for code, name in enumerate(by_name["y"].classes)}
                found["y"] = np.array([codes[label] for _, _, label, _ in part], by_name["y"].dtype)
            yield found

    def splits(self, source: Path) -> Mapping[str, np.ndarray]:
        """Return the splits that folders `train`, `val` and `test` make.

        Args:
            source: A folder, a zip archive or a CSV file.

        Returns:
            Row numbers of each; empty where there are no such folders.
        """
        places = [split for _, _, _, split in self._entries(source)]
        return {split: np.flatnonzero([place == split for place in places]) for split in _SPLITS if split in places}

    def _entries(self, source: Path) -> list[tuple[str, Opener, str, str]]:
        """Return name, opener, class and split of each image."""
        if source.is_file() and source.suffix.lower() in (".csv", ".tsv"):
            return self._listed(source)
        found: list[tuple[str, Opener, str, str]] = []
        around: dict[tuple[str, ...], str] = {}
        single = source.is_file() and source.suffix.lower() in self.contents
        for name, opener in ({source.name: path_opener(source)} if single else members_of(source)).items():
            path = PurePosixPath(name)
            if path.suffix.lower() not in self.contents or path.name.startswith("."):
                continue
            if not self.labelled:
                found.append((name, opener, "", ""))
                continue
            if len(path.parts) < 2 or path.parts[-2] in _SPLITS:
                raise DataError(
                    f"{source}: {name} is in no folder of a class; put each class's images in a folder of its own"
                )
            split = next((part for part in path.parts[:-2] if part in _SPLITS), "")
            around.setdefault(tuple(part for part in path.parts[:-2] if part not in _SPLITS), name)
            found.append((name, opener, path.parts[-2], split))
        if not found:
            raise DataError(f"{source} holds no images ({', '.join(self.contents)})")
        if len({bool(split) for *_, split in found}) > 1:
            odd = next(name for name, _, _, split in found if not split)
            raise DataError(f"{source}: {odd} is in none of the folders train, val and test, but others are")
        if len(around) > 1:
            flat, *_, deep = (around[folders] for folders in sorted(around, key=len))
            raise DataError(
                f"{source}: {deep} is not beside {flat}: each class is one folder with its images in it, and these "
                f"folders lie side by side, but {PurePosixPath(deep).parent} and {PurePosixPath(flat).parent} do not; "
                "move the images into the folders of their classes"
            )
        return found

    def _listed(self, source: Path) -> list[tuple[str, Opener, str, str]]:
        table = open_delimited(str(source), path_opener(source), header=self.header)
        if len(table.names) < 2:
            raise UsageError(f"{source} has one column; expected paths first and classes last")
        found: list[tuple[str, Opener, str, str]] = []
        for block in table.blocks(4096):
            for cells in block:
                path = (source.parent / cells[0].strip()).resolve()
                if not path.is_relative_to(source.parent.resolve()):
                    message = f"{cells[0]!r} leads out of the folder of the CSV; copy the image into it"
                    raise table.refusal(len(found), table.names[0], message)
                if not path.is_file():
                    raise table.refusal(len(found), table.names[0], f"there is no file {path}")
                found.append((cells[0].strip(), path_opener(path), cells[-1].strip(), ""))
        return found

    def _form(self, source: Path, entry: tuple[str, Opener, str, str]) -> tuple[str, tuple[int, int]]:
        with _decoded(f"{source}: {entry[0]}", entry[1]) as image:
            grey = image.mode in _GREYS or image.mode.startswith("I") if self.mode is None else self.mode == "grey"
            return "L" if grey else "RGB", self.size or _size(image)


class NewImages(Images):
    """Reads images that come after those that were imported: they need be in no folder of a class."""

    labelled: ClassVar[bool] = False


@contextmanager
def _decoded(where: str, opener: Opener) -> Iterator[Any]:
    """Open an image; what the decoder objects to, also later, is told with its name."""
    try:
        pillow = importlib.import_module("PIL.Image")
    except ImportError:
        raise PluginError("the importer images needs Pillow: pip install 'dlcli[images]'") from None
    try:
        with opener() as stream, pillow.open(stream) as image:
            if image.mode not in (*_GREYS, *_COLOURS) and not (image.mode.startswith("I") and _has_16_bits(image)):
                raise DataError(
                    f"{where} is of mode {image.mode}, which does not fit into 8 bits of grey or RGB; convert it to 8 "
                    f"bits, or import its numbers as an array; read are {', '.join((*_GREYS, 'I;16', *_COLOURS))}"
                )
            yield image
    except pillow.UnidentifiedImageError:  # its words tell of the object that was read, not of the file
        raise DataError(f"{where} is damaged, or no image of a known format; mend or remove it") from None
    except (OSError, ValueError, SyntaxError, EOFError, pillow.DecompressionBombError) as cause:
        raise DataError(f"{where} does not decode: {cause}; mend or remove it") from cause


def _has_16_bits(image: Any) -> bool:
    """Return whether the numbers of an image that is not loaded yet have 16 bits, also where Pillow shortens them."""
    # No more: `I;16S` has signs, and `BGR;16` has 16 bits of all three colours.
    return bool(re.search(r"(?<!BGR);16[BLN]?\b", f"{image.mode} {image.tile}"))


def _losses(image: Any, mode: str | None) -> list[str]:
    """Return what an image loses; colours too where it becomes grey without anybody's having said so."""
    losses = {
        "16 bits scaled to 8 (65535 becomes 255)": _has_16_bits(image),
        "transparency dropped": image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info,
        "CMYK converted without its colour profile": image.mode == "CMYK",
        "pictures after the first dropped": getattr(image, "is_animated", False),
        "colours made grey, as in the first (else: --set mode=rgb)": mode == "L" and image.mode in _COLOURS,
    }
    return [what for what, lost in losses.items() if lost]


def _size(image: Any) -> tuple[int, int]:
    """Return height and width of an image as it is to be seen; only one that is turned is decoded."""
    found = _upright(image) if image.getexif().get(_ORIENTATION, 1) != 1 else image
    return found.height, found.width


def _upright(image: Any) -> Any:
    return importlib.import_module("PIL.ImageOps").exif_transpose(image)


def _pixels(where: str, opener: Opener, mode: str, size: tuple[int, int]) -> np.ndarray:
    with _decoded(where, opener) as image:
        found = _upright(image)
        if found.mode.startswith("I"):  # of 16 bits, which Pillow would cut off at 255
            found = importlib.import_module("PIL.Image").fromarray((np.asarray(found) // 257).astype(np.uint8))
        found = found.convert(mode)
        if (found.height, found.width) != size:
            found = found.resize((size[1], size[0]))
        return np.asarray(found, dtype=np.uint8)
