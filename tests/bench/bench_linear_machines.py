"""Linear support vector machines against scikit-learn: `python tests/bench/bench_linear_machines.py`.

The recipes `sonar/svm` and `housing/svr` as they are, over ten folds, and scikit-learn's `LinearSVC` and `LinearSVR`
with the same C and epsilon on the same training rows, standardized with the same figures. For each fold: the figure on
held-out rows, and which value of ½ ‖w‖² + C Σ ℓ over the training rows both have reached. scikit-learn penalizes the
intercept, divided by `intercept_scaling`; with a large one that is next to nothing, so both minimize the same.
`--set key=value` changes the recipes.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from interleaved import median_interval
from sklearn.base import BaseEstimator
from sklearn.svm import LinearSVC, LinearSVR

import dlcli
from dlcli.experiment.import_data import import_data

RECIPES = Path(__file__).parents[2] / "recipes"
IMPORTS = {
    "sonar/svm": ("sonar/sonar.csv", {"split": "none"}),
    "housing/svr": ("housing/housing.csv", {"test": 0.2}),
}
EXACT = {"intercept_scaling": 3.0, "dual": True, "tol": 1e-5, "max_iter": 500_000, "random_state": 0}


def rows_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return all rows, in the order in which folds count them."""
    with h5py.File(path) as file:
        groups = [file[split] for split in ("train", "val", "test") if split in file] or [file]
        x, y = (np.concatenate([group[name][:] for group in groups]) for name in ("x", "y"))
    return x.astype("float64"), y.reshape(len(y)).astype("float64")


def machine(name: str, C: float, epsilon: float) -> tuple[BaseEstimator, Callable[..., np.ndarray], str]:
    """Return scikit-learn's solver, its loss of margins or answers, and what is compared on held-out rows."""
    if name == "sonar/svm":
        return LinearSVC(loss="hinge", C=C, **EXACT), lambda z, y: np.maximum(0, 1 - (2 * y - 1) * z), "accuracy"
    return LinearSVR(epsilon=epsilon, C=C, **EXACT), lambda z, y: np.maximum(0, np.abs(z - y) - epsilon), "rmse"


def compare(name: str, folder: Path, overrides: list[str]) -> None:
    source, how = IMPORTS[name]
    path = folder / f"{Path(name).name}.h5"
    import_data(RECIPES / source, path, parameters={"target": "-1"}, **how)
    x, y = rows_of(path)
    start = time.process_time()
    given = [f"data.path={path}", "train.kfold=10", *overrides]
    run = Path(dlcli.train(RECIPES / f"{name}.toml", overrides=given, runs=folder).run)
    seconds = {"dlcli": time.process_time() - start, "scikit-learn": 0.0}
    reached: dict[str, list[float]] = {who: [] for who in seconds}
    figures: dict[str, list[float]] = {who: [] for who in seconds}
    for number, fold in enumerate(json.loads((run / "folds.json").read_text())["folds"]):
        loaded = dlcli.load(f"{run}@fold-{number}")
        description = json.loads((run / f"members/fold-{number}/model/model.json").read_text())
        C, epsilon = description["architecture"]["C"], description["loss"].get("epsilon", 0.0)
        state = {key: tensor.double().numpy().reshape(-1) for key, tensor in loaded.state_dict().items()}
        last = {key.rpartition(".")[2]: tensor for key, tensor in state.items()}
        offset, scale = last.get("target_offset", np.zeros(1)), last.get("target_scale", np.ones(1))
        standard = (x - state["preprocess.0.0.mean"]) / np.sqrt(state["preprocess.0.0.variance"])
        target, training, held_out = (y - offset) / scale, fold["training"], fold["held_out"]
        solver, loss, figure = machine(name, C, epsilon / float(scale[0]))
        start = time.process_time()
        solver.fit(standard[training], target[training])
        seconds["scikit-learn"] += time.process_time() - start
        for who, w, b in (
            ("dlcli", last["weight"], last["bias"]),
            ("scikit-learn", np.ravel(solver.coef_), np.ravel(solver.intercept_)),
        ):
            z = standard @ w + b
            reached[who].append(float(0.5 * w @ w + C * loss(z[training], target[training]).sum()))
            if figure == "accuracy":
                figures[who].append(float(((z > 0) == (y > 0.5))[held_out].mean()))
            else:
                figures[who].append(float(np.sqrt(np.mean(((z - target) * scale)[held_out] ** 2))))
    for who, values in figures.items():
        told = f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
        print(f"{name:<12} {who:<13} held-out {figure} {told} over {len(values)} folds, {seconds[who]:.1f} s of CPU")
    for what, found, better in (
        (f"held-out {figure}", figures, np.subtract),
        ("objective", reached, np.divide),
    ):
        values = list(better(found["dlcli"], found["scikit-learn"]))
        low, high = median_interval(values)
        sign = "−" if better is np.subtract else "/"
        print(
            f"{name:<12} dlcli {sign} scikit-learn, {what}: mean {np.mean(values):+.4f}, "
            f"median [{low:+.4f}, {high:+.4f}], all [{min(values):+.4f}, {max(values):+.4f}]"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", nargs="+", choices=list(IMPORTS), default=list(IMPORTS))
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    for name in options.recipes:
        with tempfile.TemporaryDirectory() as folder:
            compare(name, Path(folder), options.set)


if __name__ == "__main__":
    main()
