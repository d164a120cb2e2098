"""What ten networks cost: `python tests/bench/bench_ensemble.py [--pairs N] [--rival-pairs N] [--json]`.

Ten MLPs 64-128-128-10, Adam 1e-3, batches of 64, 30 epochs, standardized digits: `dlcli.ensemble` from recipe to
finished run (reading, training, validation, figures, picture, files), as a multiple of one plain loop over a DataLoader
that trains one such network on the same rows and does nothing else. Beside it the part that is training: the calls of
`fit`, with validation after every epoch and checkpoints. CPU time, one thread, interleaved in one process; then the
rival, torchensemble 0.2.0, on a few pairs. Without it: `pip install --no-deps torchensemble==0.2.0`, or
`--rival-pairs 0`. `--validation 0` trains on all of the 80 % and validates nothing, as the loop and the rival do.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ensemble_rival import plain_loop, recipe, rival, split
from interleaved import median_interval

import dlcli
from dlcli.experiment.ensembling import conductor as ensemble_conductor
from dlcli.plugins import load_plugins

STRATEGIES = {
    "voting": (),
    "bagging": (),
    "bagging, 80 % each": ("ensemble.strategy.samples=0.8", "ensemble.strategy.replacement=false"),
    "bagging, 90 % each": ("ensemble.strategy.samples=0.9", "ensemble.strategy.replacement=false"),
}
ASKED = ("voting", "bagging")
BOUND = 2.6


class TrainingClock:
    """Adds up the CPU time that an ensemble spends in `fit`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._fit = ensemble_conductor.fit

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        try:
            return self._fit(*args, **kwargs)
        finally:
            self.seconds += time.process_time() - start


def took(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--rival-pairs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the networks")
    parser.add_argument("--validation", type=float, default=0.125, help="share of the 80 %% that is no test rows")
    parser.add_argument("--json", action="store_true", help="print every ratio as JSON instead of the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    plugins = load_plugins()
    data = split("digits", options.seed, options.validation)
    clock = TrainingClock()
    ensemble_conductor.fit = clock  # type: ignore[assignment]
    plain = plain_loop(data, options.seed)
    ratios: dict[str, list[float]] = {}
    loops: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.h5"
        data.write(path)
        job = recipe(path, options.seed, validated=options.validation > 0)

        def ours(strategy: str) -> None:
            name, changes = strategy.split(",")[0], STRATEGIES[strategy]
            dlcli.ensemble(job, strategy=name, overrides=changes, runs=Path(folder) / "runs", plugins=plugins)

        for strategy in STRATEGIES:
            ours(strategy)
        plain()
        for _ in range(options.pairs):
            for strategy in STRATEGIES:
                loops.append(took(plain))
                clock.seconds = 0.0
                whole = took(lambda strategy=strategy: ours(strategy))  # type: ignore[misc]
                ratios.setdefault(strategy, []).append(whole / loops[-1])
                ratios.setdefault(f"{strategy}, training alone", []).append(clock.seconds / loops[-1])
        for _ in range(options.rival_pairs):
            for strategy in ASKED:
                loops.append(took(plain))
                whole = took(lambda strategy=strategy: rival(strategy, data, options.seed))  # type: ignore[misc]
                ratios.setdefault(f"rival's {strategy}", []).append(whole / loops[-1])
    if options.json:
        print(json.dumps({"loop_seconds": loops, "ratios": ratios}))
        return
    print(f"one plain loop: {statistics.median(loops):.3f} s of CPU, median; {len(data.training)} rows")
    for name, values in ratios.items():
        low, high = median_interval(values)
        asked = f"  asked for: ≤ {BOUND}" if name in ASKED else ""
        print(f"{name:<36} {statistics.median(values):6.2f} ×  [{low:.2f}, {high:.2f}]  {len(values)} pairs{asked}")


if __name__ == "__main__":
    main()
