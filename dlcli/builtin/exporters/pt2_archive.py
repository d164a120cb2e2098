"""Reading the archive of a program of torch without trusting it.

`torch.export.load` unpickles what an archive marks as pickled, evaluates expressions as Python, and finds operations by
attributes of modules. Here only those archives pass that hold none of it: plain tensors, a graph of torch's own
operations, and sizes that are sums and products of symbols.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import torch

from dlcli import DataError

_FILES = re.compile(
    r"archive_format|archive_version|byteorder|\.data/(?:version|serialization_id)|version|models/model\.json"
    r"|data/weights/(?:weight_\d+|model_weights_config\.json)|data/constants/(?:tensor_\d+|model_constants_config\.json)"
    r"|data/sample_inputs/model\.pt|extra/dlcli\.json"
)
_SAMPLES, _GRAPH, _NAMES = "data/sample_inputs/model.pt", "models/model.json", "extra/dlcli.json"
_OPERATION = re.compile(r"torch\.ops\.aten\.[a-z0-9_]+\.[A-Za-z0-9_]+")
_WRITES_FILES = {"torch.ops.aten.from_file.default", "torch.ops.aten.from_file.out"}
_ARITHMETIC = {
    *(f"_operator.{name}" for name in ("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "pow", "getitem")),
    *(f"_operator.{name}" for name in ("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_", "not_")),
    *(f"torch.sym_{name}" for name in ("max", "min", "not", "float", "int", "ite", "sum")),
    *(f"math.{name}" for name in ("floor", "ceil", "trunc")),
}
_SYMBOLS = re.compile(
    r"(?:Symbol\('[su]\d+'(?:, (?:positive|nonnegative|integer)=True)*\)|[su]\d+|\d+|Integer|Rational|Add|Mul|Pow"
    r"|Max|Min|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv|IntTrueDiv|[-+*/(), <>=])*"
)
_TREES = {"builtins.tuple", "builtins.list", "builtins.dict"}
LARGEST = 2**28
"""Numbers in a tensor whose shape a program fixes; larger ones are refused before they are made."""
_LONGEST = 500
"""Characters of an expression of sizes."""


def harmless_archive(path: Path) -> io.BytesIO:
    """Return an archive as it is safe to load, its example inputs, which are pickled, exchanged for none.

    Args:
        path: A file.

    Returns:
        The archive in memory.

    Raises:
        DataError: It is missing or no such archive, or it holds more than a program of `dlcli export`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _rebuilt(archive)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise DataError(
            f"cannot read the program {path}: {error}; export it again, or restore it from a copy"
        ) from None
    except _ForeignError:
        raise DataError(f"{path} was not written by dlcli export: it does not say what it takes") from None
    except ValueError as error:
        raise DataError(f"{path} is refused, because it is damaged or hostile: {error}") from None
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise DataError(f"{path} is refused, because it is damaged or hostile: its tables have another form") from None


class _ForeignError(Exception):
    """An archive without the names and the metadata that an export keeps."""


def _rebuilt(archive: zipfile.ZipFile) -> io.BytesIO:
    entries = archive.infolist()
    roots = {entry.filename.partition("/")[0] for entry in entries}
    names = [entry.filename.partition("/")[2] for entry in entries]
    if len(roots) != 1 or len(set(names)) != len(names):
        raise ValueError("its files are not those of one program")
    if _NAMES not in names:
        raise _ForeignError
    for name, entry in zip(names, entries, strict=True):
        if not _FILES.fullmatch(name):
            raise ValueError(f"it holds {entry.filename!r}, which is no part of a program")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise ValueError(f"{entry.filename!r} is compressed, which a program is not")
    places = sorted((entry.header_offset, entry.file_size) for entry in entries)
    if any(first + size > second for (first, size), (second, _) in pairwise(places)):
        raise ValueError("its files overlap")
    root = roots.pop()
    sizes = dict(zip(names, (entry.file_size for entry in entries), strict=True))
    _check_graph(json.loads(archive.read(f"{root}/{_GRAPH}")))
    for kind in ("weights", "constants"):
        config = json.loads(archive.read(f"{root}/data/{kind}/model_{kind}_config.json"))["config"]
        _check_payload(config, f"data/{kind}/", sizes)
    count = len(json.loads(archive.read(f"{root}/{_NAMES}"))["inputs"])
    found = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(found)
    for name in names:
        if name.startswith(".data/") or name in ("byteorder", "version"):
            continue  # the writer makes these itself
        content = _no_samples(count) if name == _SAMPLES else archive.read(f"{root}/{name}")
        writer.write_record(name, content, len(content))
    writer.write_end_of_file()
    found.seek(0)
    return found


def _no_samples(count: int) -> bytes:
    """Return example inputs without rows, for so many arguments: torch wants to see some."""
    empty = io.BytesIO()
    torch.save((tuple(torch.empty(0) for _ in range(count)), {}), empty)
    return empty.getvalue()


def _check_payload(config: dict[str, Any], folder: str, sizes: dict[str, int]) -> None:
    """See that tensors are plain and lie within their files, so that no more is allocated than the archive holds."""
    for name, entry in config.items():
        meta = entry["tensor_meta"]
        if entry["use_pickle"] or meta is None:
            raise ValueError(f"the tensor {name} is pickled; nothing is unpickled")
        shape = [_whole(size) for size in meta["sizes"]]
        strides, offset = [_whole(stride) for stride in meta["strides"]], _whole(meta["storage_offset"])
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        there = sizes[folder + entry["path_name"]]
        count = prod(map(int, shape))
        if count > there or (count and last >= there):
            raise ValueError(f"the tensor {name} claims the shape {shape}, more than its {there} bytes hold")
        if meta["device"]["type"] != "cpu":
            raise ValueError(f"the tensor {name} is on {meta['device']['type']}; expected cpu")


def _whole(value: dict[str, Any]) -> int:
    found = value["as_int"]
    if type(found) is not int or found < 0:
        raise ValueError(f"a size is {found!r}, expected a whole number from 0 on")
    return found


def _check_graph(table: dict[str, Any]) -> None:
    for key, value in _entries(table):
        if key == "expr_str" and not (len(value) <= _LONGEST and _SYMBOLS.fullmatch(value)):
            raise ValueError(f"a size is the expression {value[:60]!r}, which is more than arithmetic")
        if key == "target" and not _is_operation(value):
            raise ValueError(f"it asks for {value[:60]!r}, which is no operation of torch")
        if key in ("as_ints", "as_sym_ints") and _is_huge(value):
            raise ValueError(f"it asks for a tensor of the shape {value[:8]}, far larger than any answer")
        if key == "metadata" and value not in ({}, None):
            raise ValueError("a node has metadata, which may name code")
        if key in ("in_spec", "out_spec"):
            _check_tree(json.loads(value))
        if key in ("as_custom_obj", "as_operator", "as_graph", "as_opaque_obj") and value not in (None, {}, ""):
            raise ValueError(f"it has an argument {key}, which is more than tensors and numbers")
    for symbol in table.get("range_constraints", {}):
        if not (len(symbol) <= _LONGEST and _SYMBOLS.fullmatch(symbol)):
            raise ValueError(f"a size is called {symbol[:60]!r}")


def _is_huge(sizes: Any) -> bool:
    if not isinstance(sizes, list):
        return False
    fixed = [size.get("as_int") if isinstance(size, dict) else size for size in sizes]
    return prod(abs(size) or 1 for size in fixed if isinstance(size, int)) > LARGEST


def _is_operation(target: Any) -> bool:
    if not isinstance(target, str) or target in _WRITES_FILES:
        return False
    return target in _ARITHMETIC or _OPERATION.fullmatch(target) is not None


def _check_tree(value: Any) -> None:
    for key, inner in _entries(value):
        if key == "type" and inner is not None and inner not in _TREES:
            raise ValueError(f"its arguments are a {inner!r}, expected tensors in a row")


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key with its value, at any depth; without recursion, which a hostile file could exhaust."""
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            yield from here.items()
            waiting.extend(here.values())
        elif isinstance(here, list):
            waiting.extend(here)
