"""Tiny datasets for tests."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dlcli import Task

CLASSES = {"binary": ("no", "yes"), "multiclass": ("ash", "oak", "elm"), "multilabel": ("red", "wet", "old")}
TARGETS = ("height", "width")
LETTERS = tuple("abcdef")
COLORS = ("red", "green", "blue")
STEPS = 7


def tiny_dataset(
    path: str | Path, kind: str = "features", task: str | Task = "multiclass", rows: int = 60, seed: int = 0
) -> Path:
    """Write a dataset that is small enough for a unit test, and that a network can learn.

    The groups `train`, `val` and `test` hold 60, 20 and 20 % of the rows. In each, `x` is the input, `y` the target,
    and for sequences and tokens `length` says how many steps of a row are valid. What is to be predicted moves the
    input's values, so that a network that learns beats guessing.

    Args:
        path: File to write; one that exists is replaced.
        kind: Kind of the input: `features` (5 float32), `image` (8×8 uint8, grey), `sequence` (7×4 float32),
            `tokens` (7 int64 below 6) or `categorical` (one of 3).
        task: `binary`, `multiclass` (3 classes), `multilabel` (3 labels) or `regression` (2 targets).
        rows: Rows in all, ≥ 10.
        seed: Seed of the values.

    Returns:
        The path.

    Raises:
        ValueError: Unknown kind or task, or too few rows.
    """
    if kind not in ("features", "image", "sequence", "tokens", "categorical"):
        raise ValueError(f"kind is {kind!r}; expected features, image, sequence, tokens or categorical")
    if rows < 10:
        raise ValueError(f"rows is {rows}; expected at least 10, so that every split has some")
    generator = np.random.default_rng(seed)
    target, marks, signal = _target(Task(task), rows, generator)
    values, input_marks = _input(kind, signal, generator)
    columns: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
        "x": (values, {"role": "input", "kind": kind, **input_marks}),
        "y": (target, {"role": "target", **marks}),
    }
    if kind in ("sequence", "tokens"):
        lengths = generator.integers(3, STEPS + 1, rows)
        values[np.arange(STEPS) >= lengths[:, None]] = 0
        columns["length"] = lengths, {"role": "length", "of": "x"}
    ends = np.array([0, 0.6 * rows, 0.8 * rows, rows]).astype(int)
    with h5py.File(path, "w") as file:
        for split, start, stop in zip(("train", "val", "test"), ends, ends[1:], strict=False):
            for name, (array, attributes) in columns.items():
                dataset = file.create_dataset(f"{split}/{name}", data=array[start:stop])
                dataset.attrs.update(attributes)
    return Path(path)


def _target(task: Task, rows: int, generator: np.random.Generator) -> tuple[np.ndarray, dict[str, Any], np.ndarray]:
    """Return a target, its attributes, and for every row a number in [0, 1] that follows from it."""
    if task is Task.REGRESSION:
        floats = generator.uniform(1, 5, (rows, len(TARGETS))).astype(np.float32)
        return floats, {"kind": "features", "names": TARGETS}, (floats[:, 0] - 1) / 4
    classes = CLASSES[task.value]
    if task is Task.MULTILABEL:
        labels = generator.integers(0, 2, (rows, len(classes))).astype(np.uint8)
        return labels, {"kind": "features", "classes": classes}, labels.mean(1)
    # Every class is in every split, because they take turns.
    numbers = np.arange(rows, dtype=np.int64) % len(classes)
    return numbers, {"kind": "categorical", "classes": classes}, numbers / (len(classes) - 1)


def _input(kind: str, signal: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
    """Return an input whose values follow a number in [0, 1] for every row, and its attributes."""
    rows = len(signal)
    if kind == "categorical":
        return np.round(signal * (len(COLORS) - 1)).astype(np.int64), {"classes": COLORS}
    if kind == "tokens":
        noisy = signal[:, None] * (len(LETTERS) - 1) + generator.normal(0, 0.5, (rows, STEPS))
        return np.clip(np.round(noisy), 0, len(LETTERS) - 1).astype(np.int64), {"classes": LETTERS}
    if kind == "image":
        bright = 40 + 160 * signal[:, None, None] + generator.normal(0, 10, (rows, 8, 8))
        return np.clip(bright, 0, 255).astype(np.uint8), {}
    shape = (5,) if kind == "features" else (STEPS, 4)
    moved = 4 * signal.reshape(-1, *(1 for _ in shape)) + generator.normal(0, 0.5, (rows, *shape))
    names = {"names": tuple(f"x{column}" for column in range(5))} if kind == "features" else {}
    return moved.astype(np.float32), names
