import pytest
from torch._inductor import cpp_builder
from torch._inductor.exc import InvalidCxxCompiler

from dlcli.builtin.exporters.aoti import AOTI
from dlcli.errors import DataError, UsageError


def test_without_a_compiler_it_says_how_to_get_one(exportable, tmp_path, monkeypatch):
    def none():
        raise InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    with pytest.raises(UsageError, match=r"needs a C\+\+ compiler, and none is found: install one .* --format pt2"):
        AOTI().write(exportable, tmp_path / "model.aoti.pt2")


def test_what_is_no_package_is_told(tmp_path):
    path = tmp_path / "model.aoti.pt2"
    path.write_bytes(b"junk")
    with pytest.raises(DataError, match="cannot load the package .*; compile it again on this machine"):
        AOTI().open(path)
    assert AOTI.foreign_code
