"""Damaged and hostile versions of the files of a model folder or a run: the same for the same seed."""

import copy
import json
import random
import struct

JUNK = (
    None, True, -1, 0, 2, 10**9, 10**12, 2**63, 10**30, 1e308, -0.5, "", "x", "os:system", "builtins.eval", "../../x",
    "a\0b", "\ud800", "dlcli:mlp", "relu", [], {}, [[]], [10**9], [10**9, 10**9], [1] * 3000, [-1], [0],
    {"name": "dlcli:mlp"}, {"name": "os:system"}, [None], ["a", "a"], {"x": {"x": {}}}, "image",
    "regression", "float64", "int64",
)  # fmt: skip
"""Values that may stand anywhere."""
TYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I8", "U8", "BOOL", "F8_E4M3", "C64", "F4", "X", "", 3)
"""What a header may say of a tensor's type."""


def places(value, path=()):
    """Return the path of every value within JSON."""
    found = [path] if path else []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found += places(inner, (*path, key))
    return found


def at(value, path):
    """Return what is at a path."""
    for key in path:
        value = value[key]
    return value


def changed_json(text, draw):
    """Return JSON text with one to three entries deleted, replaced, swapped, repeated, nested or made huge."""
    table = json.loads(text)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        paths = places(table)
        if not paths:
            break
        path = draw.choice(paths)
        holder, key = at(table, path[:-1]), path[-1]
        how = draw.randrange(7)
        if how == 0:
            del holder[key]
        elif how in (1, 2):
            holder[key] = copy.deepcopy(draw.choice(JUNK))
        elif how == 3:
            other = draw.choice(paths)
            inside = at(table, other[:-1])
            holder[key], inside[other[-1]] = copy.deepcopy(inside[other[-1]]), copy.deepcopy(holder[key])
        elif how == 4 and isinstance(holder[key], int | float):
            holder[key] = draw.choice((holder[key] + 1, holder[key] * 1000, -holder[key], holder[key] + 0.5, 10**15))
        elif how == 5 and isinstance(holder, list):
            holder *= 2 if len(holder) > 100 else draw.choice((2, 1000))
        elif isinstance(holder, dict):
            holder[draw.choice((f"{key}x", "name", "..", "0"))] = holder.pop(key)
    return json.dumps(table)


def changed_text(text, draw):
    """Return text of JSON with what `json.dumps` would not write: other literals, repeated keys, depth, other bytes."""
    how = draw.randrange(6)
    spot = draw.randrange(len(text))
    if how == 0:
        return text[:spot].encode()
    if how == 1:
        colon = text.find(":", spot)
        end = min((text.find(c, colon) for c in ",}\n" if text.find(c, colon) > 0), default=len(text))
        return (text[: colon + 1] + draw.choice(("NaN", "Infinity", "1e999", "9" * 5000, "-")) + text[end:]).encode()
    if how == 2:
        return text.replace("{", draw.choice(('{"format": 1,', '{"name": 1, "name": 2,')), draw.choice((1, 9))).encode()
    if how == 3:
        return (text[:spot] + draw.choice(("[" * 100_000, '{"a":' * 5000)) + text[spot:]).encode()
    content = bytearray(text.encode())
    for _ in range(draw.choice((1, 2, 20))):
        content[draw.randrange(len(content))] = draw.randrange(256)
    return bytes(content)


def changed_description(text, draw):
    """Return a mutation of a JSON file."""
    return changed_json(text, draw).encode() if draw.random() < 0.75 else changed_text(text, draw)


def changed_tensors(content, draw):
    """Return a mutation of a safetensors file: of its bytes, its length, or what its header says."""
    (length,) = struct.unpack("<Q", content[:8])
    how = draw.randrange(10)
    if how == 0:
        return content[: draw.randrange(len(content))]
    if how == 1:
        return content + bytes(draw.choice((1, 8, 1000)))
    if how == 2:
        return struct.pack("<Q", draw.choice((0, 1, length - 1, length + 1, 2**40, 2**64 - 1))) + content[8:]
    if how in (3, 4):
        mutated = bytearray(content)
        for _ in range(draw.choice((1, 2, 50))):
            spot = draw.randrange(8, 8 + length) if how == 3 else draw.randrange(8 + length, len(content))
            mutated[spot] ^= 1 << draw.randrange(8)
        return bytes(mutated)
    if how == 5:
        values = (float("nan"), float("inf"), -1e38, 3e38, 1e-45, -1.0)
        spot = 8 + length + 4 * draw.randrange((len(content) - 8 - length) // 4)
        return content[:spot] + struct.pack("<f", draw.choice(values)) + content[spot + 4 :]
    header = json.loads(content[8 : 8 + length])
    names = [name for name in header if name != "__metadata__"]
    name = draw.choice(names)
    if how == 6:
        other = draw.choice(names)
        header[name], header[other] = header[other], header[name]
    elif how == 7:
        header[draw.choice((f"{name}x", "../x", "", "members.a.network.x", "a\0b", name.split(".")[-1]))] = header.pop(
            name
        )
    elif how == 8:
        entry = header[name]
        kind = draw.randrange(4)
        shape = entry["shape"]
        if kind == 0:
            entry["dtype"] = draw.choice(TYPES)
        elif kind == 1:
            entry["shape"] = draw.choice(
                ([*shape, 1], shape[::-1], [10**12], [2**32, 2**32], [-1, *shape], [0, 10**18], [], [2**63], "x", [1.5])
            )
        elif kind == 2:
            entry["data_offsets"] = draw.choice(
                ([0, 0], [0, 2**60], [8, 4], [-4, 4], [0], None, entry["data_offsets"][::-1])
            )
        else:
            del entry[draw.choice(list(entry))]
    else:
        del header[name]
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def seeded(*parts):
    """Return a generator of its own for each mutation."""
    return random.Random("/".join(map(str, parts)))
