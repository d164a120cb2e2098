"""Small real problems to ensemble networks on, and what a run left."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_breast_cancer, load_diabetes

DIGITS = Path(__file__).parents[2] / "recipes/digits/digits.h5"


def regression_file(path: Path) -> Path:
    """Write scikit-learn's diabetes, targets in hundreds."""
    data = load_diabetes()
    return _write(path, data.data.astype("float32"), (data.target / 100).astype("float32")[:, None])


def binary_file(path: Path) -> Path:
    """Write scikit-learn's breast cancer."""
    data = load_breast_cancer()
    return _write(path, data.data.astype("float32"), data.target.astype("int64"), ["malignant", "benign"])


def _write(path: Path, x: np.ndarray, y: np.ndarray, classes: list[str] | None = None) -> Path:
    order = np.random.default_rng(0).permutation(len(x))
    ends = [0, int(0.6 * len(x)), int(0.8 * len(x)), len(x)]
    with h5py.File(path, "w") as file:
        for split, start, stop in zip(("train", "val", "test"), ends, ends[1:], strict=False):
            file[f"{split}/x"], file[f"{split}/y"] = x[order[start:stop]], y[order[start:stop]]
            if classes:
                file[f"{split}/y"].attrs["classes"] = classes
    return path


def network(file: Path = DIGITS, /, **tables: Any) -> dict[str, Any]:
    """Return a recipe of one small network; keyword arguments replace entries of its tables, or whole ones."""
    base: dict[str, Any] = {
        "name": "small",
        "data": {"path": str(file), "preprocess": ["standardize"]},
        "model": {"architecture": "mlp", "hidden": [12]},
        "train": {"epochs": 4, "optimizer": {"name": "adam", "lr": 1e-2}, "metrics": ["accuracy"]},
    }
    if "diabetes" in file.name:
        base["train"]["metrics"] = ["mae"]
    for name, table in tables.items():
        merged = name in ("data", "train") and isinstance(table, Mapping)
        base[name] = {**base[name], **table} if merged else copy.deepcopy(table)
    return base


def split(data: Path, name: str) -> tuple[torch.Tensor, np.ndarray]:
    """Return a split's inputs as a module takes them, and its targets."""
    with h5py.File(data) as file:
        x, y = torch.from_numpy(file[f"{name}/x"][:]), file[f"{name}/y"][:]
    return x[:, None] if x.ndim == 3 else x, y


def facts_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "run.json").read_text()))


def tensors_of(file: Path) -> dict[str, bytes]:
    """Return the tensors of a file as bytes, by name."""
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(file).items()}


def model_bits(run: Path) -> dict[str, bytes]:
    """Return the tensors of a run's model as bytes, by name."""
    return tensors_of(run / "model/model.safetensors")


def bits_of(run: Path) -> dict[str, bytes]:
    """Return every tensor that a run left, as bytes."""
    return {
        f"{file.relative_to(run)}:{name}": bits
        for file in sorted(run.rglob("*.safetensors"))
        for name, bits in tensors_of(file).items()
    }
