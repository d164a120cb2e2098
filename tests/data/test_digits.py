"""The dataset in the repository is scikit-learn's, divided and described."""

import hashlib
import re
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from dlcli.contracts.task import Task
from dlcli.data.check import check
from dlcli.data.describe import describe
from dlcli.data.read import read_dataset

FOLDER = Path(__file__).parents[2] / "recipes" / "digits"
PATH = FOLDER / "digits.h5"


def test_it_holds_all_digits_and_no_others() -> None:
    dataset = read_dataset(PATH)
    digits = load_digits()
    images, labels = dataset.tensors["x"].numpy(), dataset.tensors["y"].numpy()
    assert images.dtype == np.uint8
    ours = Counter((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))
    theirs = Counter(
        (image.astype(np.uint8).tobytes(), int(label))
        for image, label in zip(digits.images, digits.target, strict=True)
    )
    assert ours == theirs


def test_splits_are_disjoint_and_stratified() -> None:
    dataset = read_dataset(PATH)
    splits, labels = dataset.splits, dataset.tensors["y"]
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 1257, "val": 270, "test": 270}
    assert torch.cat(list(splits.values())).sort().values.equal(torch.arange(1797))
    whole = torch.bincount(labels)
    for name, rows in splits.items():
        expected = whole * len(rows) / 1797
        assert (torch.bincount(labels[rows]) - expected).abs().max() < (2 if name == "train" else 1)
    assert not any(finding.level != "note" for finding in check(PATH))


def test_it_is_described() -> None:
    found = describe(PATH)
    assert found.task is Task.MULTICLASS
    image, label = found.fields
    assert (image.role, image.kind, image.shape, image.dtype) == ("input", "image", (8, 8), "uint8")
    assert (label.role, label.classes) == ("target", tuple("0123456789"))
    assert (image.minimum, image.maximum) == (0, 16)
    assert "scikit-learn" in found.attributes["source"]
    assert found.bytes < 100_000


def test_origin_states_the_digest() -> None:
    stated = re.search(r"\*\*sha256:\*\* `([0-9a-f]{64})`", (FOLDER / "ORIGIN.md").read_text(encoding="utf-8"))
    assert stated is not None
    assert stated[1] == hashlib.sha256(PATH.read_bytes()).hexdigest()
