"""What ensembles are measured against: splits of scikit-learn's data, one plain loop, and torchensemble 0.2.0.

The rival is used through its documented interface: `set_criterion`, `set_optimizer`, `fit` with a validation loader
where there are validation rows, `predict`; n_jobs=None, nothing saved. Its classifiers predict probabilities.
"""

import contextlib
import io
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from sklearn import datasets
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

EPOCHS, BATCH, RATE, MEMBERS, HIDDEN = 30, 64, 1e-3, 10, 128
MISSING = (
    "torchensemble, the rival, is not installed. It asks for torchvision, which it never imports, so install it "
    "without its dependencies: pip install --no-deps torchensemble==0.2.0"
)


@dataclass(frozen=True)
class Split:
    """One dataset in three parts, raw: what a file for dlcli holds, and what the others are given."""

    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]
    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def outputs(self) -> int:
        return max(len(self.classes), 1)

    def write(self, path: Path) -> None:
        """Write the file for dlcli: raw inputs; classes, or standardized targets, which dlcli takes as they are."""
        targets = self.y if self.classes else self.standardized()[1].numpy()
        with h5py.File(path, "w") as file:
            for name, rows in (("train", self.training), ("val", self.validation), ("test", self.test)):
                if not len(rows):
                    continue
                group = file.create_group(name)
                x = group.create_dataset("x", data=self.x[rows])
                x.attrs["role"], x.attrs["kind"] = "input", "features"
                y = group.create_dataset("y", data=targets[rows])
                y.attrs["role"] = "target"
                if self.classes:
                    y.attrs["kind"], y.attrs["classes"] = "categorical", list(self.classes)

    def standardized(self) -> tuple[Tensor, Tensor, float, float]:
        """Return inputs, and targets with their mean and deviation (0 and 1 for classes), all by training rows."""
        mean, deviation = self.x[self.training].mean(0), self.x[self.training].std(0)
        x = torch.from_numpy((self.x - mean) / np.where(deviation == 0, 1, deviation)).float()
        if self.classes:
            return x, torch.from_numpy(self.y.astype(np.int64)), 0.0, 1.0
        middle, scale = float(self.y[self.training].mean()), float(self.y[self.training].std())
        # Its regressors need a column: a flat target would be broadcast against the outputs to N x N.
        return x, torch.from_numpy((self.y - middle) / scale).float().unsqueeze(1), middle, scale


def split(name: str, seed: int, validation: float) -> Split:
    """Return a dataset of scikit-learn: 20 % for test, of the rest a share for validation; classes stratified."""
    found = getattr(datasets, f"load_{name}")()
    classes = () if name == "diabetes" else tuple(str(each) for each in found.target_names)
    x, y = found.data.astype(np.float32), found.target.astype(np.uint8 if classes else np.float32)

    def halves(rows: np.ndarray, share: float) -> list[np.ndarray]:
        stratify = y[rows] if classes else None
        parts: list[np.ndarray] = train_test_split(rows, test_size=share, random_state=seed, stratify=stratify)
        return parts

    rest, test = halves(np.arange(len(y)), 0.2)
    training, val = halves(rest, validation) if validation else (rest, rest[:0])
    return Split(x, y, classes, training, val, test)


def recipe(path: Path, seed: int, *, validated: bool = True) -> dict[str, Any]:
    """Return the job as a recipe: what the rival trains, with dlcli's defaults for everything else."""
    # By default a fifth of the rows would be taken for validation where the file has no such split.
    everything = {} if validated else {"rows": "train+val", "monitor": "train_loss", "select": "last"}
    return {
        "name": "bench",
        "seed": seed,
        "data": {"path": str(path), "preprocess": ["standardize"]},
        "model": {"architecture": "mlp", "hidden": [HIDDEN, HIDDEN], "activation": "relu", "norm": "none"},
        "train": {"epochs": EPOCHS, "batch_size": BATCH, "optimizer": {"name": "adam", "lr": RATE}, **everything},
        "ensemble": {"members": MEMBERS},
    }


class Network(nn.Sequential):
    """The multilayer perceptron of the job."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs)
        )


def loader(x: Tensor, y: Tensor, rows: np.ndarray, *, shuffle: bool) -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(TensorDataset(x[rows], y[rows]), batch_size=BATCH, shuffle=shuffle)


def plain_loop(data: Split, seed: int) -> Callable[[], None]:
    """Return one network's training as the rival does it, and as a user would: a loop over a DataLoader."""
    x, y, _, _ = data.standardized()

    def run() -> None:
        torch.manual_seed(seed)
        batches = loader(x, y, data.training, shuffle=True)
        network = Network(x.shape[1], data.outputs)
        optimizer = torch.optim.Adam(network.parameters(), RATE)
        criterion = nn.CrossEntropyLoss()
        for _ in range(EPOCHS):
            for inputs, target in batches:
                optimizer.zero_grad()
                loss = criterion(network(inputs), target)
                loss.backward()
                optimizer.step()

    return run


def _library() -> Any:
    try:
        import torchensemble
    except ImportError as error:
        if error.name != "torchensemble":
            raise
        raise SystemExit(MISSING) from None
    return torchensemble


def rival(strategy: str, data: Split, seed: int, *, members: int = MEMBERS, judged: bool = True) -> Tensor:
    """Train an ensemble of the rival, and return what it predicts for the test rows: probabilities, or targets.

    Args:
        strategy: dlcli's name for it: `voting`, `bagging`, `gradient_boosting` or `snapshot`.
        data: The data.
        seed: Of torch.
        members: How many estimators.
        judged: Whether it is given the validation rows.

    Returns:
        (B, K), or (B, 1) in the targets' own units.
    """
    library = _library()
    words = {"voting": "Voting", "bagging": "Bagging", "gradient_boosting": "GradientBoosting"}
    stem = words.get(strategy, "SnapshotEnsemble")
    kind = getattr(library, stem + ("Classifier" if data.classes else "Regressor"))
    x, y, middle, scale = data.standardized()
    torch.manual_seed(seed)
    logging.getLogger().setLevel(logging.ERROR)
    arguments: Mapping[str, Any] = {"inputs": x.shape[1], "outputs": data.outputs}
    model = kind(estimator=Network, n_estimators=members, estimator_args=arguments, cuda=False)
    if strategy != "gradient_boosting":
        model.set_criterion(nn.CrossEntropyLoss() if data.classes else nn.MSELoss())
    model.set_optimizer("Adam", lr=RATE)
    validation = loader(x, y, data.validation, shuffle=False) if judged and len(data.validation) else None
    with contextlib.redirect_stdout(io.StringIO()):  # it prints a line for every network and epoch
        model.fit(loader(x, y, data.training, shuffle=True), epochs=EPOCHS, test_loader=validation, save_model=False)
        found: Tensor = model.predict(x[data.test])
    return found * scale + middle
