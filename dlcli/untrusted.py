"""Reading files that anybody may have written: of bounded size, strict, and never executed.

What is refused is told as a `ValueError` without the file's name, which the caller adds.
"""

import json
import math
import re
import stat
from pathlib import Path
from typing import Any

LARGEST = 32 * 2**20
"""Bytes of the largest description that is read: a JSON file, or the header of a safetensors file."""
LONGEST_REASON = 300
"""Characters of what a file says that an error repeats at most."""
_LONG_NUMBER = re.compile(rb"\d{19}")


def regular_size(path: Path) -> int:
    """Return the size of a file, once it is seen to be one that may be read.

    Args:
        path: The file.

    Returns:
        Its size in bytes.

    Raises:
        OSError: There is no such file.
        ValueError: It is a folder, a device or a pipe, or a link that leaves its folder. The links of a model hub's
            cache, from `snapshots/<commit>/` to `blobs/`, are followed.
    """
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError("it is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no regular file")
    if path.is_symlink():
        folder, target = path.parent.resolve(), path.resolve()
        allowed = [folder, *([folder.parents[1] / "blobs"] if folder.parent.name == "snapshots" else [])]
        if not any(target.is_relative_to(place) for place in allowed):
            raise ValueError("it is a link that leaves its folder; put the file itself there")
    return found.st_size


def check_inside(path: Path, folder: Path) -> None:
    """Refuse a path below a folder whose links lead out of it.

    Args:
        path: A path below the folder; it need not exist.
        folder: The folder.

    Raises:
        ValueError: It leads elsewhere.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{path} leads out of {folder}; put the files themselves there instead of a link")


def read_json(path: Path) -> Any:
    """Read a JSON file as the standard defines it.

    Args:
        path: The file, UTF-8.

    Returns:
        What it holds.

    Raises:
        OSError: It is missing or cannot be read.
        ValueError: It is too large, nested too deeply, or no JSON; a key is there twice; a number is not finite, or a
            whole one has more than 64 bits.
    """
    size = regular_size(path)
    if size > LARGEST:
        raise ValueError(f"it has {size} bytes, more than the {LARGEST} that such a file may have")
    content = path.read_bytes()
    whole = _whole if _LONG_NUMBER.search(content) else None  # a hook costs much where there are millions of numbers
    try:
        found = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_table,
            parse_constant=_not_finite,
            parse_float=_finite,
            parse_int=whole,
        )
        if b"\\u" in content:
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no text in UTF-8: byte {error.start} is 0x{content[error.start]:02x}") from None
    except UnicodeEncodeError:
        raise ValueError("it holds half a surrogate pair, which is no text") from None
    except json.JSONDecodeError as error:
        if not content.strip():
            raise ValueError("it is empty") from None
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"it is no JSON from {place} on ({error.msg[0].lower()}{error.msg[1:]})") from None
    return found


def reason(error: BaseException | str) -> str:
    """Return what an error says as one short line of printable characters, since it may repeat what a file holds."""
    text = " ".join(str(error).split())
    shown = printable(text[:LONGEST_REASON])
    return shown if len(text) <= LONGEST_REASON else f"{shown}…"


def printable(text: str) -> str:
    r"""Return a text in which what is no printable character is escaped, such as `\n`, `\t` or `\x1b`."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def is_folder_name(name: object) -> bool:
    """Return whether a text can name one folder, and cannot lead out of the one that it is in."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= 200
        and name.isprintable()
        and name not in (".", "..")
        and not set(name) & set('/\\:*?"<>|')
    )


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {reason(twice)!r} is there twice")
    return found


def _not_finite(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {reason(text)} is too large")
    return value


def _whole(text: str) -> int:
    value = int(text)
    if not -(2**63) <= value < 2**64:
        raise ValueError(f"the number {reason(text[:40])} is too large")
    return value
