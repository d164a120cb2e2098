"""What racing over five folds spares: `python tests/bench/bench_tune_racing.py [--seeds N]`.

A search of 40 trials of the digits MLP on five folds, as `bench_tune_cost` has it, with racing on. Without racing every
trial trains on all five folds, so that settings tried per training epoch are 1 / (5 x epochs); with it they are
counted.
Halving is off in both, so that racing alone shows; `--halving` has it on in both. `--full` also runs the search without
racing, and compares the best mean over five folds that the two found.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import torch
from bench_tune_cost import FOLDS, TRIALS, recipe, search
from interleaved import show

from dlcli.experiment.tuning.run import ready
from dlcli.plugins import Plugins, load_plugins
from dlcli.search.state import SearchState


def run(epochs: int, seed: int, *, racing: bool, halving: bool, plugins: Plugins) -> SearchState:
    changes = [f"seed={seed}", f"tune.racing={str(racing).lower()}", f"tune.halving={str(halving).lower()}"]
    with tempfile.TemporaryDirectory() as folder:
        return search(ready(recipe(epochs, TRIALS), changes, plugins), Path(folder))


def epochs_of(state: SearchState) -> int:
    return sum(trial.epochs for trial in state.trials.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--halving", action="store_true")
    parser.add_argument("--full", action="store_true", help="also search without racing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    plugins = load_plugins()
    factors, worse = [], []
    for seed in range(options.seeds):
        raced = run(options.epochs, seed, racing=True, halving=options.halving, plugins=plugins)
        whole = TRIALS * FOLDS * options.epochs
        if options.full or options.halving:
            full = run(options.epochs, seed, racing=False, halving=options.halving, plugins=plugins)
            whole = epochs_of(full)
            best, best_raced = full.ranked()[0].score, raced.ranked()[0].score
            assert best is not None
            assert best_raced is not None
            worse.append(best_raced / best)
        factors.append((len(raced.trials) / epochs_of(raced)) / (TRIALS / whole))
        left = [len(trial.fold_scores) for trial in raced.trials.values()]
        print(
            f"seed {seed}: {epochs_of(raced)} of {whole} epochs; trials by folds {[left.count(n) for n in range(1, 6)]}"
        )
    show(f"settings per epoch, racing / all {FOLDS} folds", factors, "≥ 1.5")
    if worse:
        show("best score, racing / all folds", worse, "")
        print(f"equal in {sum(ratio == 1 for ratio in worse)} of {len(worse)}, mean {statistics.fmean(worse):.4f}")


if __name__ == "__main__":
    main()
