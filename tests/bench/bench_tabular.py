"""Housing and red wine with `mlp`, against a standardized MLPRegressor: `python tests/bench/bench_tabular.py`.

For ten divisions of the rows (seeds 0 to 9 of the import, a fifth for test): the recipe of the data set as it is, and
scikit-learn's `StandardScaler` and `MLPRegressor(max_iter=2000)` on the same training rows and the same test rows. The
network keeps a fifth of what is not for test to choose its epoch by; scikit-learn is fitted once on all of these rows,
and once without that fifth. `--set key=value` changes the recipe, which was chosen on seeds 100 to 109.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import h5py
import numpy as np
import torch
from interleaved import median_interval
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import root_mean_squared_error
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dlcli
from dlcli.experiment.import_data import import_data

RECIPES = Path(__file__).parents[2] / "recipes"
SOURCES = {"housing": "housing.csv", "winequality": "winequality-red.csv"}


def rows_of(file: h5py.File, *splits: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = (np.concatenate([file[f"{split}/{name}"][:] for split in splits]) for name in ("x", "y"))
    return x, y.reshape(len(y))


def of_scikit_learn(path: Path, *splits: str) -> float:
    model = make_pipeline(StandardScaler(), MLPRegressor(max_iter=2000, random_state=0))
    with h5py.File(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        (x, y), (test, truth) = rows_of(file, *splits), rows_of(file, "test")
        return float(root_mean_squared_error(truth, model.fit(x, y).predict(test)))


def of_dlcli(recipe: Path, path: Path, runs: Path, overrides: list[str]) -> float:
    run = dlcli.train(recipe, overrides=[f"data.path={path}", *overrides], runs=runs).run
    return float(dlcli.evaluate(run).metrics["rmse"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", nargs="+", default=list(SOURCES))
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--recipe", default="mlp")
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.datasets:
        found: dict[str, list[float]] = {"dlcli": [], "MLPRegressor, train and val": [], "MLPRegressor, train": []}
        with tempfile.TemporaryDirectory() as folder:
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                path = Path(folder, f"{seed}.h5")
                import_data(RECIPES / name / SOURCES[name], path, parameters={"target": "-1"}, test=0.2, seed=seed)
                recipe = RECIPES / name / f"{options.recipe}.toml"
                found["dlcli"].append(of_dlcli(recipe, path, Path(folder, "runs"), options.set))
                found["MLPRegressor, train and val"].append(of_scikit_learn(path, "train", "val"))
                found["MLPRegressor, train"].append(of_scikit_learn(path, "train"))
        for who, values in found.items():
            print(f"{name:<12} {who:<28} test RMSE {np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}")
        for who in list(found)[1:]:
            ratios = [ours / theirs for ours, theirs in zip(found["dlcli"], found[who], strict=True)]
            low, high = median_interval(ratios)
            print(f"{name:<12} dlcli / {who}: mean {np.mean(ratios):.3f}, median [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main()
