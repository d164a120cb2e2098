"""Small HDF5 files for the tests of the data room."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write arrays by path; attributes of a dataset are keyed by the path's last name: `x={"role": "input"}`."""

    def make(content: Mapping[str, Any], *, name: str = "data.h5", **attributes: Mapping[str, Any]) -> Path:
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            for where, values in content.items():
                dataset = file.create_dataset(where, data=values)
                for key, value in attributes.get(where.rpartition("/")[2], {}).items():
                    dataset.attrs[key] = value
        return path

    return make


@pytest.fixture
def labelled(write: Write) -> Write:
    """Write split groups of N×3 features and labels of two classes, by rows a split: `labelled(train=6, val=4)`."""

    def make(classes: tuple[str, ...] = ("no", "yes"), **rows: int) -> Path:
        generator = np.random.default_rng(0)
        content = {}
        for split, count in rows.items():
            content[f"{split}/x"] = generator.normal(size=(count, 3)).astype("float32")
            content[f"{split}/y"] = np.arange(count) % len(classes)
        return write(content, y={"classes": list(classes)})

    return make
