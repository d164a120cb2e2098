"""CPU of `dlcli tune` against Optuna with a loop written by hand: `python tests/bench/bench_tune_cost.py [--epochs N]`.

40 trials × 5 folds of the digits MLP 64-128-128-10, batch 64, Adam; learning rate, weight decay and dropout are
searched by TPE, and every trial trains on every fold for as many epochs: halving and racing are off on our side. By
hand: Optuna's TPESampler with its storage in memory, and for each fold of a trial a plain PyTorch loop (`nn.Dropout`,
`x[idx]` batches, unfused Adam, validation rows after each epoch, the best epoch kept and scored on the fold that is
held out) over the very same rows. Our side is all that a search does until its best trial is known: reading recipe and
data, planning, journal, leases, checkpoints; `--whole` runs `tune`, with the final models of DESIGN besides.
CPU time of one thread, interleaved; shares do not depend on the number of epochs much, so that many short pairs give
the interval: compare `--epochs 3 --pairs 9` and `--epochs 30 --pairs 3`. `--profile` prints where ours goes.
"""

import argparse
import copy
import cProfile
import pstats
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
import torch
from bench_training import DIGITS
from interleaved import ratios, show
from torch import Tensor, nn

from dlcli.experiment.tune import tune
from dlcli.experiment.tuning.problem import Rows
from dlcli.experiment.tuning.run import Tuning, open_run, ready
from dlcli.experiment.tuning.trials import TrialRunner
from dlcli.plugins import load_plugins
from dlcli.search.narrowing import narrow
from dlcli.search.state import SearchState
from dlcli.search.trials import Population, TrialOutcome
from dlcli.search.worker import work

BOUND = "≤ 0.35"
TRIALS, FOLDS, BATCH = 40, 5, 64
RATE, DECAY, DROPOUT = (1e-4, 1e-1), (1e-6, 1e-2), (0.0, 0.5)


class Unwatched:
    """Watches a search and shows nothing."""

    def interrupted(self) -> bool:
        return False

    def state_changed(self, state: SearchState) -> None: ...

    def population_started(self, population: Population) -> None: ...

    def trial_reported(self, number: int, epoch: int, value: float) -> None: ...

    def population_finished(self, population: Population, outcomes: Sequence[TrialOutcome]) -> None: ...

    def note(self, text: str) -> None: ...


def recipe(epochs: int, trials: int) -> dict[str, object]:
    return {
        "name": "bench",
        "data": {"path": str(DIGITS), "preprocess": ["standardize"]},
        "model": {"architecture": "mlp", "hidden": [128, 128], "dropout": 0.1},
        "train": {"epochs": epochs, "batch_size": BATCH, "optimizer": {"name": "adam"}},
        "tune": {
            "trials": trials,
            "kfold": FOLDS,
            "halving": False,
            "racing": False,
            "space": {
                "train.optimizer.lr": {"log_uniform": list(RATE)},
                "train.optimizer.weight_decay": {"log_uniform": list(DECAY)},
                "model.dropout": {"uniform": list(DROPOUT)},
            },
        },
    }


def search(tuning: Tuning, directory: Path) -> SearchState:
    """Do all that `tune` does until the best trial is known."""
    run, _ = open_run(tuning, directory, new=True, plugins=tuning.trials.plugins)
    runner = TrialRunner(tuning.trials, tick=lambda: None, note=print)
    return work(run.path, run=runner, method=tuning.tune.method, narrow=narrow, watch=Unwatched())


def ours(epochs: int, trials: int, whole: bool) -> Callable[[], None]:
    plugins = load_plugins()

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            if whole:
                tune(recipe(epochs, trials), runs=folder, plugins=plugins)
                return
            state = search(ready(recipe(epochs, trials), (), plugins), Path(folder))
            trained = sum(trial.epochs for trial in state.trials.values())
            assert trained == trials * FOLDS * epochs, f"epochs differ: {trained}"

    return run


def fold_by_hand(x: Tensor, y: Tensor, rows: Rows, epochs: int, rate: float, decay: float, dropout: float) -> float:
    """Train one network as a user would write it, and score its best epoch."""
    assert rows.validation is not None
    assert rows.held_out is not None
    train_x, train_y = x[rows.training], y[rows.training]
    mean, deviation = train_x.mean(0), train_x.std(0) + 1e-8
    train_x, val_x, test_x = ((x[own] - mean) / deviation for own in (rows.training, rows.validation, rows.held_out))
    val_y, test_y = y[rows.validation], y[rows.held_out]
    model = nn.Sequential(
        nn.Linear(64, 128),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(128, 128),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(128, 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    loss_function = nn.CrossEntropyLoss()
    best, best_state = float("inf"), copy.deepcopy(model.state_dict())
    for _ in range(epochs):
        model.train()
        for index in torch.randperm(len(train_y)).split(BATCH):
            optimizer.zero_grad()
            loss = loss_function(model(train_x[index]), train_y[index])
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            value = loss_function(model(val_x), val_y).item()
        if value < best:
            best, best_state = value, copy.deepcopy(model.state_dict())
    model.load_state_dict(best_state)
    model.eval()
    with torch.no_grad():
        return float(loss_function(model(test_x), test_y).item())


def by_hand(epochs: int, trials: int) -> Callable[[], None]:
    tuning = ready(recipe(epochs, trials), (), load_plugins())
    dataset = tuning.trials.dataset
    x, y = (dataset.tensors[name].float() if name == "x" else dataset.tensors[name] for name in ("x", "y"))
    x = x.flatten(1)

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("lr", *RATE, log=True)
        decay = trial.suggest_float("weight_decay", *DECAY, log=True)
        dropout = trial.suggest_float("dropout", *DROPOUT)
        scores = [fold_by_hand(x, y, rows, epochs, rate, decay, dropout) for rows in tuning.trials.rounds]
        return sum(scores) / len(scores)

    def run() -> None:
        torch.manual_seed(0)
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
        study.optimize(objective, n_trials=trials)

    return run


def profile(run: Callable[[], None]) -> None:
    profiler = cProfile.Profile()
    profiler.runcall(run)
    for order in ("cumulative", "tottime"):
        pstats.Stats(profiler).sort_stats(order).print_stats(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="with the final models")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    own = ours(options.epochs, options.trials, options.whole)
    if options.profile:
        own()
        profile(own)
        return
    found = ratios({"by hand": by_hand(options.epochs, options.trials), "ours": own}, "by hand", pairs=options.pairs)
    what = f"{options.trials} trials x {FOLDS} folds x {options.epochs} epochs"
    show(f"{what}, CPU / Optuna and a loop by hand", found["ours"], BOUND)


if __name__ == "__main__":
    main()
