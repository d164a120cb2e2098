"""Layouts that are told to be slow, and those that are not."""

import shlex
from pathlib import Path

import h5py
import numpy as np
import pytest

from dlcli.data.describe import describe

NOISE = np.random.default_rng(0).normal(size=(6000, 100)).astype("float32")
PLAIN = np.zeros((6000, 400), "uint8")
TEXTS = {"data": np.array([b"a", b"b"] * 3000, object), "dtype": h5py.string_dtype()}


def make(path: Path, x: dict, y: dict | None = None) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", **x)
        file.create_dataset("y", **(y or {"data": np.zeros(6000)}))
    return path


@pytest.mark.parametrize(
    ("x", "told"),
    [
        ({"data": PLAIN, "chunks": (6000, 4)}, "x: a row lies in 100 chunks (6000×4), and each is read"),
        ({"data": PLAIN, "chunks": (1, 400)}, "x: a chunk has one row, 400 bytes"),
        ({"data": PLAIN, "chunks": (10, 400)}, "x: a chunk has 10 rows, 4,000 bytes"),
        ({"shape": (60000, 400), "dtype": "u1", "chunks": (50000, 400), "compression": 1}, "x: a chunk has 20 MB"),
        ({"data": NOISE, "chunks": (1000, 100), "compression": "gzip"}, "x: gzip saves 7% of these floats"),
        ({"data": np.zeros((50000, 400), "u1"), "chunks": (500, 400)}, "x: it is stored as it is; gzip makes it"),
        ({"data": np.zeros((50000, 400), "u1")}, "x: it is stored as it is; gzip makes it about"),
        ({"data": PLAIN, "chunks": (1000, 400), "compression": "gzip"}, None),
        ({"data": NOISE, "chunks": (1000, 100)}, None),
        ({"data": PLAIN[:20], "chunks": (1, 1)}, None),
    ],
)
def test_what_is_slow(tmp_path: Path, x: dict, told: str | None) -> None:
    path = make(tmp_path / "some data.h5", x)
    slow = describe(path).slow
    if told is None:
        assert (slow.findings, slow.command) == ((), None)
    else:
        assert len(slow.findings) == 1
        assert slow.findings[0].startswith(told)
        option = ["--codec", "gzip"] if "as it is" in told else []
        assert shlex.split(slow.command) == [
            "dlcli",
            "data",
            "repack",
            str(path),
            "-o",
            "some data-repacked.h5",
            *option,
        ]


def test_texts_for_labels_and_thousands_of_samples(tmp_path: Path) -> None:
    slow = describe(make(tmp_path / "d.h5", {"data": NOISE}, TEXTS)).slow
    assert slow.findings == ("y: it holds texts, which no network takes; classes are numbers with names",)
    assert slow.command.endswith(" --dtype y=classes")
    with h5py.File(tmp_path / "many.h5", "w") as file:
        for number in range(300):
            file[f"samples/{number}"] = np.zeros(4)
    slow = describe(tmp_path / "many.h5").slow
    assert slow.findings[0].startswith("it holds 300 datasets of 32 bytes each")
    assert slow.command is None
