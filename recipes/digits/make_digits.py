"""Writes digits.h5: the 8×8 handwritten digits that scikit-learn bundles, divided once and for all.

Run it in this folder: `python make_digits.py [FILE]`. It needs scikit-learn, h5py and numpy. See ORIGIN.md.
"""

import sys

import h5py
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 0
HELD_OUT = 270  # rows each of val and test, 15 % of 1797
SOURCE = (
    "Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998, "
    "https://doi.org/10.24432/C50P49; the test part, as bundled with scikit-learn (load_digits)"
)


def main(path: str) -> None:
    """Write the file; the same bytes every time, given the same versions of h5py and zlib."""
    digits = load_digits()
    images = digits.images.astype(np.uint8)
    labels = digits.target.astype(np.uint8)
    rest, test = train_test_split(np.arange(len(labels)), test_size=HELD_OUT, random_state=SEED, stratify=labels)
    train, val = train_test_split(rest, test_size=HELD_OUT, random_state=SEED, stratify=labels[rest])
    # Modification times are left out, so that making the file again changes nothing.
    with h5py.File(path, "w", track_order=False) as file:
        file.attrs["source"] = SOURCE
        file.attrs["license"] = "CC BY 4.0"
        for name, rows in (("train", train), ("val", val), ("test", test)):
            group = file.create_group(name, track_times=False)
            options = {"compression": "gzip", "compression_opts": 9, "shuffle": False, "track_times": False}
            x = group.create_dataset("x", data=images[rows], chunks=(len(rows), 8, 8), **options)
            x.attrs["role"] = "input"
            x.attrs["kind"] = "image"
            y = group.create_dataset("y", data=labels[rows], chunks=(len(rows),), **options)
            y.attrs["role"] = "target"
            y.attrs["kind"] = "categorical"
            y.attrs["classes"] = [str(digit) for digit in range(10)]


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "digits.h5")
