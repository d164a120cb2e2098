"""Memory that is available."""

import os
import sys
from pathlib import Path

import pytest

from dlcli.data.memory import available_memory


def test_available_memory_is_plausible() -> None:
    available = available_memory()
    assert available is not None
    assert 2**20 < available <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_on_linux_the_control_group_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("dlcli.data.memory._MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr("dlcli.data.memory._GROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal:  99 kB\nMemAvailable:  20 kB\n")
    assert available_memory() == 20480
    (tmp_path / "memory.current").write_text("9000\n")
    (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 2000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory() == 20480
    (tmp_path / "memory.max").write_text("10000\n")
    assert available_memory() == 3000
    (tmp_path / "memory.max").write_text("1000\n")
    assert available_memory() == 0


def test_elsewhere_the_machine_is_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert available_memory() == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    monkeypatch.delattr(os, "sysconf")
    assert available_memory() is None
