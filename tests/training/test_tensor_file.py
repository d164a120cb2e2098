import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from dlcli.errors import DataError
from dlcli.training.tensor_file import read_tensors


def written(path, header, content=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)
    return path


def test_tensors_are_read_as_they_were_written(tmp_path):
    tensors = {"a": torch.randn(2, 3), "b": torch.arange(4), "c": torch.tensor(1.5, dtype=torch.float64)}
    save_file(tensors, tmp_path / "x.safetensors")
    found = read_tensors(tmp_path / "x.safetensors")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry([10**12], 0, 4 * 10**12)},
        {"a": entry([10**12], 0, 8)},
        {"a": entry([2**32, 2**32], 0, 8)},
        {"a": entry([2], 0, 8), "b": entry([2], 0, 8)},
        {"a": entry([2], 4, 12)},
        {"a": entry([-2], 0, 8)},
        {"a": entry([2], 8, 0)},
        {"a": entry([2], 0, 8, "F7")},
        {"a": entry([0, 10**18, 10**18], 0, 0)},
        {"a": {"dtype": "F32"}},
        [],
        b"[" * 100_000,
        b"\x80",
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, header):
    with pytest.raises(DataError, match=r"^cannot read .*x\.safetensors: .*; restore it from a copy, or train again$"):
        read_tensors(written(tmp_path / "x.safetensors", header, bytes(8)))


@pytest.mark.parametrize("content", [b"", b"\0" * 7, struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", 100) + b"{}"])
def test_a_file_that_is_cut_is_refused(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(DataError, match=rf"no safetensors file, or cut: {len(content)} bytes"):
        read_tensors(tmp_path / "x.safetensors")


def test_a_header_longer_than_any_is_not_read(tmp_path):
    with (tmp_path / "x.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 90 * 2**20))
        file.truncate(100 * 2**20)
    with pytest.raises(DataError, match="94371840 of them said to be its header"):
        read_tensors(tmp_path / "x.safetensors")
